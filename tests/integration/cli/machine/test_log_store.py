"""Where logs are kept: what the setting takes, and what doctor and a start say about servers that can't read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import read_settings
from app.domain.errors import UserError
from app.installation import logs_apart, open_installation
from app.store.claims import register_server
from tests.support.cli import Cli
from tests.support.databases import Postgres, migrated_postgres


@pytest.fixture
def url() -> str:
    """Of a database that nobody asks."""
    return "postgresql://nobody@127.0.0.1:9/none"


def finding(cli: Cli) -> tuple[str, str] | None:
    items = json.loads(cli("doctor", "--json").out)["items"]
    return next(((each["state"], each["sentence"]) for each in items if each["what"] == "logs"), None)


@pytest.mark.parametrize(
    "value", ["/srv/logs", "file://logs", "s3://Bucket", "s3://key@bucket/x", "ftp://host/x"]
)
def test_a_place_for_logs_is_a_directory_or_a_bucket(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JOBYARD_LOG_STORE", value)
    with pytest.raises(
        UserError, match=r"JOBYARD_LOG_STORE is not usable: must be file:///DIRECTORY, or s3://"
    ):
        read_settings()


def test_one_server_with_files_of_its_own_needs_no_word(cli: Cli) -> None:
    assert finding(cli) is None


def test_doctor_says_what_several_servers_lack(cli: Cli, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("JOBYARD_DATABASE_URL", url)
    state, sentence = finding(cli) or ("", "")
    assert state == "warn"
    assert sentence == (
        "Another server on this database could not read the logs of this one: set JOBYARD_LOG_STORE to a shared "
        "volume or a bucket if there are several."
    )


def test_doctor_looks_whether_the_volume_is_there(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_LOG_STORE", f"file://{tmp_path}/shared%20logs")
    logs = tmp_path / "shared logs"
    sentence = f"{logs} of JOBYARD_LOG_STORE is no directory that can be written: mount the volume there."
    assert finding(cli) == ("fail", sentence)
    logs.mkdir()
    assert finding(cli) == ("ok", f"They are in {logs}, which every server has to have.")


def test_doctor_asks_the_bucket(cli: Cli, monkeypatch: pytest.MonkeyPatch, bucket: Path) -> None:
    monkeypatch.setenv("JOBYARD_LOG_STORE", "s3://backups/logs/")
    assert finding(cli) == ("ok", "They are in s3://backups/logs, which answers.")
    monkeypatch.setenv("JOBYARD_LOG_STORE", "s3://another/logs")
    state, sentence = finding(cli) or ("", "")
    assert state == "fail"
    assert sentence.startswith(
        "JOBYARD_LOG_STORE can't be read. s3://another/logs/: the bucket's server said"
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with migrated_postgres() as cluster:
        yield cluster


def test_a_start_beside_other_servers_says_that_none_reads_anothers_logs(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: Postgres
) -> None:
    monkeypatch.setenv("JOBYARD_DATABASE_URL", cluster.create("migrated"))
    with open_installation(read_settings()) as own:
        assert logs_apart(own) == "", "it is the only one"
        with own.db.write() as tx:
            register_server(tx, "there-1", "there", 1, own.clock.now())
        assert logs_apart(own) == (
            "Other servers work on this database (there), and none can read another's logs: set JOBYARD_LOG_STORE to a "
            "shared volume or a bucket, on all of them."
        )
    monkeypatch.setenv("JOBYARD_LOG_STORE", f"file://{tmp_path}/shared")
    with open_installation(read_settings()) as own:
        assert logs_apart(own) == ""
