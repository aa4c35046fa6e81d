"""Backups that a server makes by itself, in a real directory and a real bucket."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.bootstrap.loops import backup_worker
from app.bootstrap.parts import make_parts
from app.bootstrap.server import open_server
from app.commands.backups import BackupShelf, ScheduledBackups
from app.config import read_bucket, read_settings
from app.domain.backups import StoredBackup
from app.domain.errors import UserError
from app.installation import backup_source, begin_epoch, open_installation
from app.store import backups
from tests.support.cli import Cli
from tests.support.waiting import eventually

AT = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
TOKEN = "4c1f0a9be27d4d67b6f0e0a3d1c5b8a7"


@pytest.fixture(params=["directory", "bucket"])
def shelf(
    request: pytest.FixtureRequest, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Where the files of backups are, as the settings want it."""
    if request.param == "bucket":
        bucket: Path = request.getfixturevalue("bucket")
        monkeypatch.setenv("JOBYARD_BACKUP_TO", "s3://backups/nightly/")
        return bucket / "nightly"
    monkeypatch.setenv("JOBYARD_BACKUP_TO", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def names(shelf: Path) -> list[str]:
    return sorted(each.name for each in shelf.iterdir()) if shelf.is_dir() else []


def missed_one() -> None:
    """A server with these settings was off since the day before yesterday."""
    with open_installation(read_settings()) as installation, installation.db.write() as tx:
        backups.begin(tx, installation.clock.now() - timedelta(days=2))


def serve(until: Callable[[], bool]) -> str:
    """Serve until then; the last thing that is asked for is Prometheus's."""
    with open_server(read_settings(), "http://127.0.0.1:1") as app, TestClient(app) as client:
        eventually(until)
        return client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text


def is_stored() -> bool:
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        state = backups.read(tx)
        return state is not None and bool(state.made_at or state.trouble)


def test_a_server_makes_what_was_missed_and_finds_it_whole(
    cli: Cli, shelf: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JOBYARD_ADMIN_TOKEN", TOKEN)
    settings = read_settings()
    assert f"None was made yet in {settings.backup_to}: no server" in cli("doctor").out
    missed_one()
    told = serve(is_stored)
    (made,) = names(shelf)
    is_bucket = "s3" in str(settings.backup_to)
    assert "jobyard_backup_failures 0.0\n" in told
    assert f"jobyard_backup_size_bytes {float((shelf / made).stat().st_size)}\n" in told
    assert "jobyard_backup_age_seconds " in told
    verified = cli("backup", "verify", f"{settings.backup_to}/{made}", "--json").json
    assert (verified["rows"][:9], verified["key"] == "in it") == ("1 project", not is_bucket)
    assert f"{made}, {(shelf / made).stat().st_size} bytes, was made and found whole" in cli("doctor").out


def scheduled(epoch: str = "") -> ScheduledBackups:
    """As the server with these settings has them."""
    settings = read_settings()
    with open_installation(settings) as installation:
        source = backup_source(settings, installation.db, with_key=True)
        to, epoch = str(settings.backup_to), epoch or installation.epoch
        return ScheduledBackups(source, BackupShelf(to, read_bucket(), installation.id, epoch))


def test_one_that_is_not_whole_is_not_there_and_removes_none(cli: Cli, shelf: Path) -> None:
    """Such as one whose key is another's."""
    whole = scheduled()
    first = whole.make(AT)
    assert (names(shelf), whole.names()) == ([first.name], [first.name])
    assert whole.shelf.stored() == [StoredBackup(first.name, first.where, first.bytes)]
    assert whole.shelf.stored()[0].made_at == AT
    assert first.bytes == (shelf / first.name).stat().st_size
    spoilt = replace(whole, source=replace(whole.source, openers=lambda _: ("00000000",)))
    with pytest.raises(
        UserError, match=r"The key in the backup is not the one that its secrets were sealed with\."
    ):
        spoilt.make(AT + timedelta(days=1))
    assert names(shelf) == [first.name]
    with pytest.raises(UserError, match="exists already"):
        whole.make(AT)


def test_only_what_this_epoch_made_is_removed(cli: Cli, shelf: Path) -> None:
    before = scheduled()
    first = before.make(AT)
    with open_installation(read_settings()) as installation:
        begin_epoch(installation.db)
    after = scheduled()
    made = after.make(AT + timedelta(days=1))
    for other in ("notes.txt", "jobyard-20260131T030000Z-ffffffffffff.tar", f"{made.name}.old"):
        (shelf / other).write_text("another's")
    assert (before.names(), after.names()) == ([first.name], [made.name])
    there = names(shelf)
    for name in (made.name, made.name):  # which another server has removed
        after.remove(name)
    assert names(shelf) == sorted({*there} - {made.name})


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_key_is_in_them_where_that_is_set(
    cli: Cli, shelf: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("JOBYARD_BACKUP_WITH_KEY", value)
    with open_installation(read_settings()) as installation:
        parts = make_parts(installation)
        worker = backup_worker(parts)
        assert worker is not None
        made = worker.place.make(AT)
        parts.inbox.close()
        parts.engine.close()
    with tarfile.open(shelf / made.name) as tar:
        assert ("secret.key" in tar.getnames()) is (value == "true")


def test_what_a_killed_server_has_left_is_removed(cli: Cli, sealed: str, tmp_path: Path) -> None:
    with open_installation(read_settings()) as installation:
        source = backup_source(read_settings(), installation.db, with_key=False)
        place = ScheduledBackups(source, BackupShelf(str(tmp_path), read_bucket(), installation.id, ""))
        half, others = tmp_path / f".jobyard-{installation.id}--part-x1", tmp_path / ".jobyard-f--part-x1"
        for each in (half, others):
            each.mkdir()
            (each / "backup.tar").write_bytes(b"half of it")
        made = place.make(AT)
    assert (half.exists(), others.exists(), (tmp_path / made.name).exists()) == (False, True, True)


def test_a_directory_that_is_gone_is_told_of(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_BACKUP_TO", str(tmp_path / "shelf"))
    place = scheduled()
    with pytest.raises(UserError, match="shelf can't be read: No such file or directory"):
        place.names()
    (tmp_path / "shelf" / "x.tar").mkdir(parents=True)
    with pytest.raises(UserError, match=r"x\.tar can't be removed: "):
        place.remove("x.tar")
    shutil.rmtree(tmp_path / "shelf")
    missed_one()
    serve(is_stored)
    said = cli("doctor")
    assert f"There is no directory {tmp_path}/shelf. That was " in said.out
    assert "There is none yet." in said.out
    assert "next one is due in" in said.out


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TO", "data", "must not be in JOBYARD_DATA: what happens to that would happen to its backups"),
        ("TO", "data/logs/backups", "must not be in JOBYARD_DATA"),
        ("TO", "https://example.com/x", "must be a directory, or s3://BUCKET/PREFIX"),
        ("TO", "s3://key:hidden@bucket/x", "must be a directory, or s3://BUCKET/PREFIX without keys or opt"),
        ("TO", "s3://", "must be a directory, or s3://BUCKET/PREFIX without keys"),
        ("CRON", "0 25 * * *", "JOBYARD_BACKUP_CRON is not usable: "),
        ("CRON", "", "JOBYARD_BACKUP_CRON is not usable: "),
        ("KEEP", "-1", "JOBYARD_BACKUP_KEEP is not usable: "),
    ],
)
def test_where_none_can_be_is_refused_or_told_of(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"JOBYARD_BACKUP_{name}", value)
    done = cli("doctor")
    assert (done.status, said in done.err, done.err.count("\n")) == (1, True, 1), done.err
    assert "hidden" not in done.err


def test_without_a_place_nothing_is_scheduled(cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_BACKUP_TO", "")
    assert read_settings().backups is None
    assert " backups " not in cli("doctor").out
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        assert backups.read(tx) is None
