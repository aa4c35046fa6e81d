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

from app.bootstrap import make_engine, open_server
from app.config import read_settings
from app.engines.base import ContainerSpec
from app.installation import only_server, open_installation
from app.runtime.ports import ENV_PURPOSE
from app.store import projects
from tests.support.cli import Cli
from tests.support.project import ROOT
from tests.support.server import free_port


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
    assert "can't be restored" in refused(cli, tmp_path, file)
    file.write_bytes(b"no tar file at all" * 100)
    assert "can't be restored" in refused(cli, tmp_path, file)


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


NO_GIT = "There is no git on the PATH of this machine: install the package git."


def command_without_git(tmp_path: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`jobyard` where the PATH leads nowhere."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={"PATH": str(tmp_path / "nowhere"), "JOBYARD_DATA": str(tmp_path / "data"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", [("serve", "--port", "1"), ("demo", "--exit")], ids=lambda it: it[0])
def test_what_needs_git_says_in_a_sentence_that_there_is_none(tmp_path: Path, command: tuple[str]) -> None:
    done = command_without_git(tmp_path, *command)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"jobyard: {NO_GIT}\n")
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_says_that_there_is_no_git(tmp_path: Path) -> None:
    done = command_without_git(tmp_path, "doctor", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = [item for item in json.loads(done.stdout)["items"] if item["what"] == "git"]
    assert found == [{"state": "fail", "what": "git", "sentence": NO_GIT}]


@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("serve", "--help"),
        ("config",),
        ("schedule", "@daily"),
        ("plan", ROOT / "tests/examples/python-pip"),
        ("dockerfile", ROOT / "tests/examples/python-pip"),
        ("admin", "link"),
    ],
    ids=lambda it: str(it[0]),
)
def test_what_needs_no_git_does_without(tmp_path: Path, command: tuple[str]) -> None:
    done = command_without_git(tmp_path, *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


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


@pytest.mark.parametrize(
    ("host", "setting", "called"),
    [
        ("0.0.0.0", "", "http://127.0.0.1:{port}"),
        ("::", "", "http://[::1]:{port}"),
        ("0.0.0.0", "https://jobyard.example.com/", "https://jobyard.example.com"),
    ],
)
def test_the_first_address_to_log_in_at_is_one_to_call(
    tmp_path: Path, host: str, setting: str, called: str
) -> None:
    port = free_port()
    settings = {"DATA": str(tmp_path / "data"), "ENGINE": "process", "PUBLIC_URL": setting}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--host", host, "--port", str(port)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **{f"JOBYARD_{name}": value for name, value in settings.items()}},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        said = next((line for line in server.stdout if "Set one up" in line), "")
        server.terminate()
    assert said.partition("/login/once/")[0] == (
        f"No administrator yet. Set one up, once, at {called.format(port=port)}"
    )


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
    ("name", "value"),
    [
        ("database_url", "mysql://x/y"),
        ("public_url", "http://0.0.0.0:80"),
        ("git_allow", "ftp"),
        ("engine", "fake"),
    ],
)
def test_a_setting_that_is_not_usable_is_named(tmp_path: Path, name: str, value: str) -> None:
    said = refusal(tmp_path, "--port", str(free_port()), **{name: value})
    assert said.startswith(f"jobyard: JOBYARD_{name.upper()} is not usable: ")


@pytest.mark.parametrize(
    ("token", "is_warned_of"), [("", False), ("x", True), ("a" * 15, True), ("a" * 16, False)]
)
def test_an_admin_token_that_can_be_guessed_is_warned_of(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    token: str,
    is_warned_of: bool,
) -> None:
    monkeypatch.setenv("JOBYARD_ADMIN_TOKEN", token)
    with caplog.at_level("WARNING"), open_server(read_settings(), "http://127.0.0.1:1"):
        assert ("JOBYARD_ADMIN_TOKEN has fewer than 16 characters" in caplog.text) == is_warned_of
    assert len(token) < 15 or token not in caplog.text
    assert "JOBYARD_ADMIN_TOKEN" in cli("config").out


def test_an_unknown_engine_is_told_which_there_are(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_ENGINE", "fake")
    assert cli("serve").err == (
        "jobyard: JOBYARD_ENGINE is not usable: Input should be 'docker' or 'process' (given: 'fake').\n"
    )
