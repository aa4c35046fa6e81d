"""Backup and restore from the command line, on the server's own machine."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from app.bootstrap.engine import make_engine
from app.config import read_settings
from app.engines.base import ContainerSpec
from app.installation import only_server, open_installation
from app.store import projects
from tests.support.cli import Cli
from tests.support.sealed import unsealed


def test_a_backup_brings_back_database_key_and_logs(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar"
    with open_installation(read_settings()):  # as a server has it open
        assert cli("backup", file).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data"]
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "elsewhere/new"))
    done = cli("restore", file, "--json").json
    assert (done["path"], done["containers"]) == (str(tmp_path / "elsewhere/new"), [])
    restored = tmp_path / "elsewhere/new"
    assert (restored / "logs/runs/000000/1/1.log").read_bytes() == b"a log\xff\n"
    assert not (restored / "checkouts").exists()
    assert stat.S_IMODE((restored / "secret.key").stat().st_mode) == 0o600
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        assert projects.named(tx, "acme").name == "acme"
        assert installation.epoch == done["epoch"] != ""
        assert unsealed(installation.box, sealed) == "a secret"


def test_nothing_is_overwritten(cli: Cli, sealed: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    assert cli("backup", file).status == 0
    before = file.read_bytes()
    assert "exists already" in cli("backup", file).err
    assert file.read_bytes() == before
    assert "is not empty" in cli("restore", file).err


def test_there_must_be_something_to_back_up(cli: Cli, tmp_path: Path) -> None:
    done = cli("backup", tmp_path / "backup.tar")
    assert done.status == 1
    assert "JOBYARD_DATA" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_backup_restored_twice_is_twice_another_epoch(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar"
    assert cli("backup", file).status == 0
    epochs = set()
    for number in "12":
        monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / number))
        epochs.add(cli("restore", file, "--json").json["epoch"])
    assert len(epochs - {""}) == 2


def test_a_restore_without_an_engine_says_what_it_can_not_know(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar"
    assert cli("backup", file).status == 0
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "new"))
    done = cli("restore", file)
    assert (done.status, done.out) == (0, f"{tmp_path}/new is filled; start it with `jobyard serve`.\n")
    assert done.err.startswith("Whether the engine has containers from before is not known: ")
    assert "jobyard.installation=" in done.err


def test_a_new_epoch_lists_what_the_engine_has_from_before(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_ENGINE", "process")
    assert cli("new-epoch").out.splitlines()[1:] == ["The engine has no containers from before."]
    with open_installation(read_settings()) as installation:
        before = installation.epoch
        engine = make_engine(read_settings(), installation.id, installation.clock, before)
    (tmp_path / "tree").mkdir()
    (tmp_path / "image.json").write_text(json.dumps({"root": str(tmp_path / "tree"), "command": ["true"]}))
    labels = {"jobyard.project": "acme", "jobyard.job": "report", "jobyard.run": "report-abc"}
    handle = engine.start(ContainerSpec(f"process:{tmp_path}/image.json", labels=labels), "run-7-1-0", 1)
    engine.wait(handle)
    (found,) = cli("new-epoch", "--json").json["containers"]
    assert (found["name"], found["state"]) == (handle.name, "exited")
    assert (found["project"], found["job"], found["run"]) == ("acme", "report", "report-abc")
    assert found["created_at"].startswith("20")
    said = cli("new-epoch").out
    assert "containers from before: 1, of which 0 run." in said
    assert "report-abc" in said
    assert engine.owned() != []
    engine.close()


def test_a_new_epoch_waits_for_the_servers_end(cli: Cli, sealed: str) -> None:
    with only_server(read_settings(), is_sqlite=True):
        done = cli("new-epoch")
    assert (done.status, done.err.startswith("jobyard: Another server is running on ")) == (1, True)


def packed(file: Path, *members: tarfile.TarInfo) -> Path:
    """A backup that nothing is wrong with but these members."""
    with tarfile.open(file, "w") as archive:
        for member in (tarfile.TarInfo("jobyard.db"), *members):
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, size
    return made


def refused(cli: Cli, tmp_path: Path, file: Path) -> str:
    """What `restore` says that leaves nothing behind."""
    done = cli("restore", file)
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]
    return done.err


@pytest.mark.parametrize(
    "odd",
    [
        member("../outside"),
        member("/etc/outside"),
        member("logs/../../outside"),
        member("logs/../jobyard.db"),
        member("logs/../../outside", tarfile.DIRTYPE),
        member("logs"),
        member("server.lock"),
        member("checkouts", tarfile.DIRTYPE),
        member("secret.key/inside"),
        member("logs/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("logs/link", tarfile.LNKTYPE, "jobyard.db"),
        member("logs/pipe", tarfile.FIFOTYPE),
        member("logs/device", tarfile.CHRTYPE),
    ],
    ids=lambda odd: f"{odd.name} {odd.type.decode()}",
)
def test_a_file_that_no_backup_made_restores_nothing(cli: Cli, tmp_path: Path, odd: tarfile.TarInfo) -> None:
    said = refused(cli, tmp_path, packed(tmp_path / "backup.tar", odd))
    assert said == (
        f"jobyard: The backup has {odd.name!r}, which no backup of Jobyard has: nothing was restored.\n"
    )


def test_a_name_that_comes_twice_restores_nothing(cli: Cli, tmp_path: Path) -> None:
    refused(cli, tmp_path, packed(tmp_path / "backup.tar", member("jobyard.db")))
    refused(cli, tmp_path, packed(tmp_path / "backup.tar", member("logs/1"), member("logs/1/2")))


def test_what_is_no_backup_or_half_of_one_restores_nothing(cli: Cli, tmp_path: Path) -> None:
    file = packed(tmp_path / "backup.tar", member("logs/1.log", size=100_000))
    file.write_bytes(file.read_bytes()[:50_000])
    assert "can't be read" in refused(cli, tmp_path, file)
    file.write_bytes(b"no tar file at all" * 100)
    assert "can't be read" in refused(cli, tmp_path, file)


def test_a_backup_packed_anew_is_restored_with_modes_of_our_own(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cli("backup", tmp_path / "backup.tar").status == 0
    with (
        tarfile.open(tmp_path / "backup.tar") as made,
        tarfile.open(tmp_path / "anew.tar", "w:gz") as anew,
    ):
        for name in (".", "./logs", "./logs/runs"):
            anew.addfile(member(name, tarfile.DIRTYPE))
        for each in made:
            file = made.extractfile(each)
            each.name, each.mode = f"./{each.name}", 0o4777
            anew.addfile(each, file)
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "new"))
    assert cli("restore", tmp_path / "anew.tar").status == 0
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert (tmp_path / "new/logs/runs/000000/1/1.log").read_bytes() == b"a log\xff\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in files if path.suffix != ".db"} == {0o600}


@pytest.mark.parametrize("content", [b"", b"no database at all"])
def test_a_backup_without_a_usable_database_restores_nothing(
    cli: Cli, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "backup.tar"
    with tarfile.open(file, "w") as archive:
        member = tarfile.TarInfo("jobyard.db")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    done = cli("restore", file)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert list(tmp_path.iterdir()) == [file]
