"""The server's own machine from the command line: doctor, and what a start refuses."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli.doctor import judge_build_limits
from app.config import Settings, read_settings
from app.domain.events import repo_key
from app.domain.job.records import SourceSettings
from app.engines.base import Confinement
from app.installation import known_id, open_installation
from app.secrets import load_or_create_key
from app.store import build_services, jobs, projects
from tests.support.cli import Cli
from tests.support.project import ROOT
from tests.support.sealed import sealed_before
from tests.support.seed import spec_of
from tests.support.server import free_port
from tests.support.web_answers import web_answers


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
    assert list(lines) == ["engine", "run", "BuildKit", "git", "data", "disk", "secret", "server"]
    assert lines["engine"].startswith("● fail")
    assert lines["secret"].startswith("● fail")
    assert f"chmod 600 {data}/secret.key" in lines["secret"]
    assert lines["data"].startswith("● ok")
    assert lines["server"].startswith("● warn")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("found", "state", "sentence"),
    [
        (
            Confinement(is_set=True),
            "ok",
            "The rules for what jobs and builds may reach (internet) are in place.",
        ),
        (
            Confinement(),
            "ok",
            "A server that runs as this user sets the rules for what jobs and builds may reach (internet).",
        ),
        (Confinement("It is not enforced.", "iptables-restore"), "warn", "It is not enforced."),
    ],
)
def test_the_doctor_says_what_is_enforced_of_egress(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, found: Confinement, state: str, sentence: str
) -> None:
    monkeypatch.setenv("JOBYARD_EGRESS", "internet")
    monkeypatch.setattr("app.bootstrap.engine.ask_confinement", lambda _settings, _installation: found)
    items = json.loads(cli("doctor", "--json").out)["items"]
    commands = {"commands": found.commands} if found.commands else {}
    assert {"state": state, "what": "egress", "sentence": sentence, **commands} in items
    assert cli("doctor").out.endswith(f"\n{found.commands}\n") is bool(found.commands)


@pytest.mark.parametrize(
    ("most", "refusal", "state", "sentence"),
    [
        (0, "It can't.", "ok", "Runs may write as much as there is room for (JOBYARD_RUN_DISK_MB is 0)."),
        (512, "", "ok", "Each container of a run may write 512 MiB to its own files."),
        (512, "It can't.", "warn", "Runs are not held to 512 MiB of disk (JOBYARD_RUN_DISK_MB). It can't."),
    ],
)
def test_the_doctor_says_whether_the_disk_of_runs_is_bounded(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, most: int, refusal: str, state: str, sentence: str
) -> None:
    monkeypatch.setenv("JOBYARD_RUN_DISK_MB", str(most))
    monkeypatch.setattr("app.bootstrap.engine.ask_disk_refusal", lambda _settings: refusal)
    items = json.loads(cli("doctor", "--json").out)["items"]
    assert {"state": state, "what": "run disk", "sentence": sentence} in items


def test_the_doctor_says_of_an_engine_that_is_down_that_nothing_is_bounded(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_RUN_DISK_MB", "512")
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    items = json.loads(cli("doctor", "--json").out)["items"]
    found = next(item for item in items if item["what"] == "run disk")
    assert found["state"] == "warn"
    assert found["sentence"].startswith(
        "Runs are not held to 512 MiB of disk (JOBYARD_RUN_DISK_MB). The container engine at unix://"
    )


def test_the_installation_is_known_without_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "data"))
    settings = read_settings()
    assert known_id(settings) == ""
    with open_installation(settings) as installation:
        assert known_id(settings) == installation.id
    (tmp_path / "data/jobyard.db").write_bytes(b"no database")
    assert known_id(settings) == ""


@pytest.mark.parametrize(
    ("settings", "driver", "may_write", "state", "said"),
    [
        ({}, "cgroupfs", True, "ok", "Each step of a build has at most 4096 MiB of memory."),
        (
            {"build_cpus": 1.5},
            "systemd",
            True,
            "warn",
            "Steps of builds are not held to 4096 MiB of memory and 1.5 CPUs: that needs the engine on this machine,",
        ),
        ({}, "cgroupfs", False, "warn", "Steps of builds are not held to 4096 MiB of memory"),
        ({"docker_host": "tcp://far:2375"}, "cgroupfs", True, "warn", "Steps of builds are not held to"),
        (
            {"build_memory_mb": 0},
            "systemd",
            False,
            "ok",
            "Steps of builds have what the machine has, as the settings say.",
        ),
    ],
)
def test_the_doctor_says_whether_steps_of_builds_are_limited(
    settings: dict[str, Any], driver: str, *, may_write: bool, state: str, said: str
) -> None:
    finding = judge_build_limits(Settings(_env_file=None, **settings), driver, may_write=may_write)
    assert (finding.state, finding.what) == (state, "build limits")
    assert finding.sentence.startswith(said)
    if state == "warn":
        driven = (
            f"with the cgroup driver cgroupfs (it has {driver}), and the right to write below /sys/fs/cgroup."
        )
        assert finding.sentence.endswith(driven)


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
    ("token", "why"),
    [
        ("", None),
        ("x", "must have at least 20 characters"),
        ("an-admin-token-of-19", None),
        ("an-admin-token-of-1", "must have at least 20 characters"),
        ("abababab" * 8, "must have at least 5 different characters"),
    ],
)
def test_an_admin_token_that_can_be_guessed_is_refused(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, token: str, why: str | None
) -> None:
    monkeypatch.setenv("JOBYARD_ADMIN_TOKEN", token)
    if why is None:
        assert "JOBYARD_ADMIN_TOKEN" in cli("config").out
        return
    assert cli("serve").err == (
        f"jobyard: JOBYARD_ADMIN_TOKEN is not usable: {why}, such as the output of `openssl rand -hex 32`.\n"
    )


def test_an_unknown_engine_is_told_which_there_are(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_ENGINE", "fake")
    assert cli("serve").err == (
        "jobyard: JOBYARD_ENGINE is not usable: Input should be 'docker', 'process', 'swarm' or 'kubernetes'"
        " (given: 'fake').\n"
    )


SECRET = "the secret of a client"


def test_half_an_identity_provider_is_refused(tmp_path: Path) -> None:
    of_four = (
        "JOBYARD_OIDC_ISSUER, JOBYARD_OIDC_CLIENT_ID, JOBYARD_OIDC_CLIENT_SECRET and JOBYARD_OIDC_ROLE_CLAIM are set "
        "together or not at all: "
    )
    said = refusal(
        tmp_path, oidc_issuer="https://id.example.com", oidc_client_id="x", oidc_client_secret=SECRET
    )
    assert f"{of_four}JOBYARD_OIDC_ROLE_CLAIM is missing." in said
    said = refusal(tmp_path, oidc_client_secret=SECRET, oidc_role_claim="roles")
    assert f"{of_four}JOBYARD_OIDC_ISSUER and JOBYARD_OIDC_CLIENT_ID are missing." in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("issuer", "sentence"),
    [
        ("id.example.com", "must be an address, such as https://id.example.com/realms/team"),
        ("https://[", "has a host or a port that can't be read: it must be an address"),
        ("https://id.example.com/?a=1", "must be an address without a question in it"),
        ("http://id.example.com", "must begin with https:// unless the provider is on this machine"),
    ],
)
def test_an_issuer_that_can_t_be_one_is_refused(tmp_path: Path, issuer: str, sentence: str) -> None:
    assert f"JOBYARD_OIDC_ISSUER is not usable: {sentence}" in refusal(tmp_path, oidc_issuer=issuer)


def test_the_doctor_asks_the_identity_provider(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_answers() as web:
        settings = {"ISSUER": web.url, "CLIENT_ID": "x", "CLIENT_SECRET": SECRET, "ROLE_CLAIM": "roles"}
        for name, value in settings.items():
            monkeypatch.setenv(f"JOBYARD_OIDC_{name}", value)
        found = [each["sentence"] for each in of_provider(cli)]
        assert found == [
            "Set JOBYARD_PUBLIC_URL: the provider sends browsers back to an address that it knows.",
            f"{web.url}: The identity provider answered with status 404: try again later.",
        ]
        monkeypatch.setenv("JOBYARD_PUBLIC_URL", "https://jobyard.example.com")
        web.paths["/.well-known/openid-configuration"] = {
            "issuer": web.url,
            "authorization_endpoint": f"{web.url}/authorize",
        }
        sentence = (
            f"{web.url} answers; the redirect address to register there is "
            "https://jobyard.example.com/login/oidc/callback."
        )
        assert of_provider(cli) == [{"state": "ok", "what": "identity provider", "sentence": sentence}]


def of_provider(cli: Cli) -> list[dict[str, str]]:
    found = json.loads(cli("doctor", "--json").out)["items"]
    return [each for each in found if each["what"] == "identity provider"]


def test_the_doctor_warns_of_webhook_secrets_from_before_the_rule(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "data"))
    with open_installation(read_settings()) as place, place.db.write() as tx:
        key = load_or_create_key(read_settings().key_file)
        weak, good = (sealed_before(key, each, "webhook") for each in ("abcdefgh", "abcdefgh" * 4))
        now = place.clock.now()
        for name, secret in (("acme", weak), ("beside", good)):
            owner = projects.create(tx, name, secret, now)
            url = f"https://github.com/{name}/images"
            source = SourceSettings(url, repo_key(url), "main", webhook_secret=secret)
            jobs.create(tx, owner.id, spec_of("report", f"{name}/images"), source, now)
            build_services.create(tx, owner.id, "images", source, now)
    said = "The webhook secret is easily guessed: it must have at least 16 characters"
    found = json.loads(cli("doctor", "--json").out)["items"]
    told = [each for each in found if each["what"] == "webhook secrets"]
    assert {each["state"] for each in told} == {"warn"}
    assert [each["sentence"].partition(said)[0] for each in told] == [
        "Project acme: ",
        "Project acme, job report: ",
        "Project acme, build service images: ",
    ]


def test_mail_needs_an_address_that_links_lead_to(tmp_path: Path) -> None:
    mail = "smtp://user:hunter2@mail.example.com?from=jobyard@example.com"
    said = refusal(tmp_path, smtp_url=mail)
    assert "JOBYARD_SMTP_URL needs JOBYARD_PUBLIC_URL: links in mail lead there." in said
    said = refusal(tmp_path, smtp_url=mail.replace("smtp:", "mail:"))
    assert "JOBYARD_SMTP_URL is not usable: must begin with smtp:// or smtps://" in said
    assert "hunter2" not in said
