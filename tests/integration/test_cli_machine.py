"""The server's own machine from the command line: backup, restore, doctor."""

from __future__ import annotations

import io
import json
import socket
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from app.bootstrap import make_engine, only_server, open_installation
from app.config import read_settings
from app.engines.base import ContainerSpec
from app.orchestration.ports import ENV_PURPOSE
from app.store import projects
from tests.support.cli import Cli
from tests.support.server import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Where there is a data directory and no engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setenv("JOBYARD_URL", "http://127.0.0.1:1")
    for name in ("JOBYARD_SECRET_KEY", "JOBYARD_DATABASE_URL", "JOBYARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Cli(capsys)


@pytest.fixture
def sealed(cli: Cli, tmp_path: Path) -> str:
    """Something only this installation's key opens; beside it a project and a log."""
    with open_installation(read_settings()) as installation:
        with installation.db.write() as tx:
            projects.create(tx, "acme", None, installation.clock.now())
        sealed = installation.box.seal("a secret", ENV_PURPOSE)
    log = tmp_path / "data/logs/runs/000000/1/1.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"a log\xff\n")
    (tmp_path / "data/checkouts/mirror").mkdir(parents=True)
    return sealed


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
        assert installation.box.open(sealed, ENV_PURPOSE) == "a secret"


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


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "logs/../../outside", "server.lock", "logs"])
def test_a_file_that_no_backup_made_restores_nothing(cli: Cli, tmp_path: Path, name: str) -> None:
    file = tmp_path / "backup.tar"
    with tarfile.open(file, "w") as archive:
        for member in ("jobyard.db", name):
            archive.addfile(tarfile.TarInfo(member), io.BytesIO())
    if name == "logs":
        file.write_bytes(b"no tar file at all" * 100)
    done = cli("restore", file)
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]


def test_the_doctor_looks_at_everything_and_says_what_to_do(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret.key").write_text("k" * 64)
    (data / "secret.key").chmod(0o644)
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    done = cli("doctor")
    assert done.status == 1
    lines = {line.split()[2]: line for line in done.out.splitlines()[1:]}
    assert list(lines) == ["engine", "BuildKit", "git", "data", "disk", "secret", "server"]
    assert lines["engine"].startswith("● fail")
    assert lines["secret"].startswith("● fail")
    assert f"chmod 600 {data}/secret.key" in lines["secret"]
    assert lines["data"].startswith("● ok")
    assert lines["server"].startswith("● warn")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def refusal(tmp_path: Path, *arguments: str, **settings: str) -> str:
    """What `jobyard serve` says that does not start."""
    ours = {f"JOBYARD_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "JOBYARD_DATA": str(tmp_path / "data"), **ours},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    return done.stderr


def test_a_port_that_is_taken_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refusal(tmp_path, "--port", port)
    assert said == (
        f"jobyard: 127.0.0.1:{port} can't be listened on (Address already in use):"
        " choose another with --host and --port.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/jobyard.db").write_text("no database at all")
    said = refusal(tmp_path, "--port", str(free_port()))
    assert said.startswith("jobyard: The database can't be read: file is not a database. Restore a backup")


def used(data: Path, **files: bytes) -> None:
    """A data directory that was in use, of which these files are left."""
    (data / "logs/runs").mkdir(parents=True)
    for name, content in files.items():
        (data / name.replace("_", ".")).write_bytes(content)


@pytest.mark.parametrize("how", ["empty", "missing"])
def test_no_new_database_beside_logs_and_a_key(tmp_path: Path, how: str) -> None:
    data = tmp_path / "data"
    used(data, secret_key=b"k" * 44, **({"jobyard_db": b""} if how == "empty" else {}))
    before = sorted(data.rglob("*"))
    assert refusal(tmp_path, "--port", str(free_port())) == (
        f"jobyard: The database {data}/jobyard.db is {how}, though an earlier one has left logs and secret.key "
        "beside it: restore a backup into a new directory, or begin anew in an empty one; JOBYARD_DATA names it.\n"
    )
    assert sorted(data.rglob("*")) == before


def test_a_key_may_be_brought_along(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/secret.key").write_text("k" * 44)
    with open_installation(read_settings()):
        pass
    assert (tmp_path / "data/secret.key").read_text() == "k" * 44


def test_a_missing_key_is_not_made_anew(cli: Cli, sealed: str, tmp_path: Path) -> None:
    (tmp_path / "data/secret.key").unlink()
    said = refusal(tmp_path, "--port", str(free_port()))
    assert said == (
        f"jobyard: The key file {tmp_path}/data/secret.key is missing, and the database was sealed with the key it "
        "held: restore it from a backup, or set JOBYARD_SECRET_KEY to that key.\n"
    )
    assert not (tmp_path / "data/secret.key").exists()
    (line,) = [each for each in cli("doctor").out.splitlines() if "secret key" in each]
    assert line.startswith("● fail")


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


def test_a_database_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--port", str(free_port()), database_url="postgresql://nobody@127.0.0.1:9/none")
    assert said.startswith("jobyard: The database did not answer: ")
    assert said.endswith(" See JOBYARD_DATABASE_URL.\n")


@pytest.mark.parametrize(
    ("name", "value"), [("database_url", "mysql://x/y"), ("public_url", "yard"), ("git_allow", "ftp")]
)
def test_a_setting_that_is_not_usable_is_named(tmp_path: Path, name: str, value: str) -> None:
    said = refusal(tmp_path, "--port", str(free_port()), **{name: value})
    assert said.startswith(f"jobyard: JOBYARD_{name.upper()} is not usable: ")
