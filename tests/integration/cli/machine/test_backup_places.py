"""Backups in buckets and of PostgreSQL, and what is found out about those that are not whole."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.backups.archive import Facts, Writer
from app.bootstrap.server import open_server
from app.config import read_settings
from app.installation import open_installation
from app.secrets import key_id
from app.store import projects
from tests.support.cli import Cli
from tests.support.databases import Postgres, running_postgres
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, s3_server
from tests.support.sealed import unsealed

FACTS = Facts("sqlite", "2026-01-31T12:00:00Z", "0123456789ab", "0001", ("00000000",), has_key=False)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as cluster:
        yield cluster


def restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place to restore to, which the settings name from now on."""
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "restored"))
    return tmp_path / "restored"


def has_all(sealed: str) -> bool:
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        return projects.named(tx, "acme").name == "acme" and unsealed(installation.box, sealed) == "a secret"


def test_a_bucket_takes_a_backup_of_any_size_without_the_key_and_gives_it_back(
    cli: Cli, sealed: str, bucket: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = tmp_path / "data/logs/runs/000000/1/2.log"
    large.write_bytes(os.urandom(40 * 2**20))
    key = (tmp_path / "data/secret.key").read_bytes()
    done = cli("backup", "s3://backups/jobyard/")
    (stored,) = (bucket / "jobyard").iterdir()
    assert done.out == f"s3://backups/jobyard/{stored.name} holds database, and logs.\n".replace(
        ", and", " and"
    )
    assert "The key is not in it" in done.err
    assert [each.name for each in bucket.parent.iterdir()] == ["backups"]  # no part is left
    where = f"s3://backups/jobyard/{stored.name}"
    told = cli("backup", "verify", where, "--json").json
    assert told["key"] == f"kept apart: the one with the id {key_id(key.strip())}"
    assert "exists already" in cli("backup", where).err
    data = restored(monkeypatch, tmp_path)
    said = cli("restore", where).out
    assert (
        f"The backup has no key: before that, put it (the one with the id {key_id(key.strip())}) into {data}"
        in said
    )
    assert not (data / "secret.key").exists()
    (data / "secret.key").write_bytes(key)
    assert has_all(sealed)
    assert (data / "logs/runs/000000/1/2.log").read_bytes() == large.read_bytes()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another", "the bucket's server said AccessDenied: "),
        (
            "AWS_SECRET_ACCESS_KEY",
            "",
            "A bucket needs keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ),
        ("AWS_ENDPOINT_URL", "ftp://x", "AWS_ENDPOINT_URL must begin with https:// or http://."),
    ],
)
def test_a_bucket_that_does_not_take_it_is_told_of(
    cli: Cli, sealed: str, bucket: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    done = cli("backup", "s3://backups/x.tar")
    assert (done.status, said in done.err) == (1, True), done.err
    assert SECRET_KEY not in done.err
    assert not list(bucket.iterdir())


def test_what_is_no_bucket_or_no_object_is_told_of(cli: Cli, sealed: str, bucket: Path) -> None:
    assert "said NoSuchBucket: " in cli("backup", "s3://nothing/x.tar").err
    assert "must be s3://BUCKET/NAME" in cli("backup", "s3:///x.tar").err
    assert "said NoSuchKey: " in cli("backup", "verify", "s3://backups/x.tar").err


def test_a_bucket_that_is_full_keeps_nothing(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    (tmp_path / "data/logs/runs/000000/1/2.log").write_bytes(os.urandom(40 * 2**20))
    with s3_server(tmp_path / "s3", full_after=20 * 2**20) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        done = cli("backup", "s3://backups/x.tar")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "InsufficientStorage" in done.err
    assert [each.name for each in (tmp_path / "s3").rglob("*")] == ["backups"]


def test_postgresql_is_backed_up_and_restored_with_its_own_tools(
    cli: Cli, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_DATABASE_URL", postgres.create("template0"))
    with open_installation(read_settings()) as installation, installation.db.write() as tx:
        projects.create(tx, "acme", None, installation.clock.now())
    assert cli("backup", tmp_path / "backup.tar").status == 0
    told = cli("backup", "verify", tmp_path / "backup.tar").out
    assert "database: postgresql, revision " in told
    assert "rows: 1 project, 0 job" in told
    restored(monkeypatch, tmp_path)
    refused = cli("restore", tmp_path / "backup.tar").err
    assert "The database at JOBYARD_DATABASE_URL is not empty, it has the table " in refused
    monkeypatch.delenv("JOBYARD_DATABASE_URL")
    assert "set JOBYARD_DATABASE_URL to an empty one" in cli("restore", tmp_path / "backup.tar").err
    monkeypatch.setenv("JOBYARD_DATABASE_URL", postgres.create("template0"))
    done = cli("restore", tmp_path / "backup.tar", "--json").json
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        assert (projects.named(tx, "acme").id, installation.epoch) == (1, done["epoch"])


def test_without_its_tools_postgresql_is_not_backed_up(
    cli: Cli, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_DATABASE_URL", postgres.create("template0"))
    assert "There is nothing to back up in the database" in cli("backup", tmp_path / "backup.tar").err
    with open_installation(read_settings()):
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    said = cli("backup", tmp_path / "backup.tar").err
    assert "There is no pg_dump here" in said
    assert "install the package postgresql-client" in said


def test_a_password_is_in_no_argument_or_variable_of_the_tools(
    cli: Cli, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = postgres.create("template0")
    monkeypatch.setenv("JOBYARD_DATABASE_URL", url.replace("postgres@", "postgres:hidden-word@"))
    with open_installation(read_settings()):
        pass
    tool = tmp_path / "bin/pg_dump"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\n(echo "$@"; env) > {tmp_path}/seen\ncp "$PGSERVICEFILE" {tmp_path}/service\nexit 1\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    assert "pg_dump could not do it: it did not say why." in cli("backup", tmp_path / "backup.tar").err
    seen = (tmp_path / "seen").read_text()
    assert "service=jobyard" in seen
    assert "hidden-word" not in seen
    assert "password=hidden-word" in (tmp_path / "service").read_text()


def loops() -> set[str]:
    """Those of a server on the data that the settings name, while it serves."""
    with open_server(read_settings(), "http://127.0.0.1:1") as app, TestClient(app) as client:
        assert client.get("/healthz").status_code == 200
        return {thread.name for thread in threading.enumerate()} & {"scheduler", "notifications", "retention"}


def test_a_drill_shows_everything_and_starts_no_loop(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cli("backup", tmp_path / "backup.tar").status == 0
    restored(monkeypatch, tmp_path)
    assert cli("restore", tmp_path / "backup.tar", "--drill").status == 0
    assert loops() == set()
    assert cli("new-epoch").status == 0
    assert loops() == {"scheduler", "notifications", "retention"}


def test_a_drill_is_not_taken_for_the_server_that_it_is_a_copy_of(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sentence = (
        "This copy was restored for a drill: nothing is built, run, sent or removed here, whatever it shows, until"
        " `jobyard new-epoch` is called."
    )
    assert cli("backup", tmp_path / "backup.tar").status == 0
    restored(monkeypatch, tmp_path)
    assert cli("restore", tmp_path / "backup.tar", "--drill").status == 0
    with open_server(read_settings(), "http://127.0.0.1:1") as app, TestClient(app) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["detail"]) == (503, sentence)
        assert f'role="alert"><b>A drill.</b> {sentence}</p>' in client.get("/login").text
    assert cli("new-epoch").status == 0
    with open_server(read_settings(), "http://127.0.0.1:1") as app, TestClient(app) as client:
        assert sentence not in client.get("/readyz").text + client.get("/login").text


def cut(file: Path, at: int) -> None:
    file.write_bytes(file.read_bytes()[:at])


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def test_whatever_is_cut_off_or_changed_is_noticed_and_restores_nothing(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data/logs/runs/000000/1/1.log").write_bytes(os.urandom(5000))
    whole = tmp_path / "backup.tar"
    assert cli("backup", whole).status == 0
    assert cli("backup", "verify", whole).out.startswith(f"{whole} is whole: ")
    with tarfile.open(whole) as archive:
        members = {each.name: each for each in archive}
    manifest = members["manifest.json"]
    log = members["logs/runs/000000/1/1.log"]
    restored(monkeypatch, tmp_path)
    spoilt = tmp_path / "spoilt.tar"
    faults: list[tuple[Callable[[Path, int], None], int]] = [
        (cut, manifest.offset),
        (cut, manifest.offset_data + 10),
        (cut, log.offset_data + 1000),
        (cut, members["jobyard.db"].offset_data + 9000),
        (flip, log.offset_data + 1000),
        (flip, members["jobyard.db"].offset_data + 9000),
        (flip, members["secret.key"].offset_data + 3),
        (flip, manifest.offset_data + 1),
    ]
    for spoil, at in faults:
        spoilt.write_bytes(whole.read_bytes())
        spoil(spoilt, at)
        for command in (("backup", "verify"), ("restore",)):
            done = cli(*command, spoilt)
            assert (done.status, done.err.count("\n")) == (1, 1), (spoil, at, done)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.tar", "data", "spoilt.tar"]


def archive(file: Path, facts: Facts, **files: bytes) -> Path:
    part = file.with_name("part")
    with file.open("wb") as stream, Writer(stream, facts) as writer:
        for name, content in files.items():
            part.write_bytes(content)
            writer.file(part, name.replace("__", "."))
    part.unlink(missing_ok=True)
    return file


def test_a_backup_says_what_it_lacks(cli: Cli, tmp_path: Path) -> None:
    nothing = archive(tmp_path / "nothing.tar", FACTS)
    assert "has no database in it: it is no backup of Jobyard." in cli("backup", "verify", nothing).err
    no_database = archive(tmp_path / "text.tar", FACTS, jobyard__db=b"no database, but long enough" * 99)
    assert "The database in the backup is not in order: " in cli("backup", "verify", no_database).err
    no_dump = archive(tmp_path / "dump.tar", FACTS, database__dump=b"no dump")
    assert "The dump in the backup can't be read: " in cli("backup", "verify", no_dump).err


def test_a_backup_of_a_later_version_is_left_to_that(cli: Cli, sealed: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        content = json.dumps({"version": 3}).encode()
        member = tarfile.TarInfo("format.json")
        member.size = len(content)
        made.addfile(member, io.BytesIO(content))
    (tmp_path / "later.tar").write_bytes(stream.getvalue())
    assert (
        "The backup has form 3, which a later version of Jobyard made"
        in cli("backup", "verify", tmp_path / "later.tar").err
    )
    database = (tmp_path / "data/jobyard.db").read_bytes()
    later = Facts(**{**vars(FACTS), "revision": "9999"})
    file = archive(tmp_path / "revision.tar", later, jobyard__db=database)
    assert (
        "The backup has revision 9999, which a later version of Jobyard made: restore it with that."
        in cli("backup", "verify", file).err
    )
    other = archive(tmp_path / "key.tar", FACTS, jobyard__db=database, secret__key=b"another key, random")
    assert (
        "The key in the backup is not the one that its secrets were sealed with."
        in cli("backup", "verify", other).err
    )


def test_a_backup_by_another_version_changes_nothing_in_the_database(
    cli: Cli, sealed: str, tmp_path: Path
) -> None:
    """Such as that of a program which is updated already, beside a server that is not."""
    with open_installation(read_settings()) as installation, installation.db.write() as tx:
        tx.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert cli("backup", tmp_path / "backup.tar").status == 0
    assert "The backup has revision 9999" in cli("backup", "verify", tmp_path / "backup.tar").err


def test_a_backup_under_load_is_of_one_moment(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever is committed together is in it together."""
    stopping, numbers = threading.Event(), count()
    with open_installation(read_settings()) as installation:

        def write() -> None:
            while not stopping.is_set():
                number = next(numbers)
                with installation.db.write() as tx:
                    for name in (f"left-{number}", f"right-{number}"):
                        projects.create(tx, name, None, installation.clock.now())

        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert cli("backup", tmp_path / "backup.tar").status == 0
        finally:
            stopping.set()
            thread.join()
    restored(monkeypatch, tmp_path)
    assert cli("restore", tmp_path / "backup.tar").status == 0
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        names = {each.name for each in projects.page(tx, 100_000, None)}
    by_side = {"left": set[str](), "right": set[str]()}
    for side, _, number in (name.partition("-") for name in names if "-" in name):
        by_side[side].add(number)
    assert by_side["left"] == by_side["right"]


def test_the_key_is_where_it_is_asked_for(cli: Cli, sealed: str, tmp_path: Path) -> None:
    assert cli("backup", tmp_path / "with.tar", "--with-key", "--json").json["has_key"] is True
    assert cli("backup", tmp_path / "without.tar", "--without-key", "--json").json["has_key"] is False
    assert (
        "can't be given together" in cli("backup", "--with-key", "--without-key", tmp_path / "both.tar").err
    )
    with tarfile.open(tmp_path / "without.tar") as made:
        assert "secret.key" not in made.getnames()


def test_a_key_that_is_elsewhere_is_in_no_backup(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_SECRET_KEY", (tmp_path / "data/secret.key").read_text())
    done = cli("backup", tmp_path / "backup.tar", "--with-key")
    assert "JOBYARD_SECRET_KEY is not in it: keep it elsewhere, or no secret opens again." in done.err
    with tarfile.open(tmp_path / "backup.tar") as made:
        assert "secret.key" not in made.getnames()
