"""The command without a server: start-up, help, plan, schedule, and the small parts that decide."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
import typer.main
from hypothesis import given
from hypothesis import strategies as st

from app.cli.client import Api, Piece, Unreachable, path
from app.cli.doctor import judge_disk, judge_git
from app.cli.findings import Finding
from app.cli.listing import COMMANDS
from app.cli.main import cli as app
from app.cli.main import commands
from app.cli.options import EXAMPLES, first_sentence
from app.cli.output import TerminalText, plain
from app.cli.runs import exit_code_of
from app.cli.times import read_time, rfc3339, span, when
from app.config import ClientSettings
from app.domain.errors import InvalidValue
from builders.render import DOCKERIGNORE
from tests.support.cli import Cli
from tests.support.project import ROOT

EXAMPLE_TREES = ROOT / "tests" / "examples"
HEAVY = (
    "starlette",
    "sqlalchemy",
    "sqlmodel",
    "docker",
    "git",
    "uvicorn",
    "httpx2",
    "pydantic_settings",
    "croniter",
)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(capsys)


def _imported_by(*args: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    program = (
        "import sys; from app.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(' '.join(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        (sys.executable, "-c", program, *args), env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "args", [["--help"], ["run", "--help"], ["plan", str(EXAMPLE_TREES / "python-pip"), "--json"]]
)
def test_start_up_imports_nothing_heavy(args: list[str]) -> None:
    assert not set(HEAVY) & _imported_by(*args)


@pytest.mark.parametrize(
    ("args", "own"),
    [
        (["--help"], set()),
        (["run", "--help"], {"runs", "dry_run"}),  # --dry-run is defined in dry_run
        (["flow", "run", "--help"], {"flows", "dry_run"}),
        (["deliveries", "show", "--help"], {"events", "dry_run"}),
        (["deliveries", "replay", "--help"], {"events", "dry_run"}),
    ],
)
def test_help_imports_no_other_command_and_nothing_to_print_or_check_values_with(
    args: list[str], own: set[str]
) -> None:
    imported = _imported_by(*args)
    modules = {listed.module for section in COMMANDS.values() for listed in section.values()}
    assert not {f"app.cli.{module}" for module in modules - own} & imported
    assert not {"rich", "pydantic", "yaml"} & imported


def test_the_listing_says_what_the_commands_say_themselves() -> None:
    root = typer.main.get_command(app)
    loaded = {name: command.load() for name, command in root.commands.items()}  # type: ignore[attr-defined]
    listed = {name: each.summary for section in COMMANDS.values() for name, each in section.items()}
    assert {name: first_sentence(command.help) for name, command in loaded.items()} == listed


def test_every_module_with_commands_is_listed_with_all_of_them() -> None:
    found = set()
    for path_ in (ROOT / "app" / "cli").glob("*.py"):
        module = importlib.import_module(f"app.cli.{path_.stem}")
        if hasattr(module, "add_to"):
            commands_ = typer.Typer()
            module.add_to(commands_)
            registered = (*commands_.registered_commands, *commands_.registered_groups)
            found |= {(path_.stem, each.name) for each in registered}
    assert found == {(each.module, name) for section in COMMANDS.values() for name, each in section.items()}


def test_the_names_of_commands_are_completed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_JOBYARD_COMPLETE", "complete_bash")
    for typed, wanted in (
        ("jobyard ro", "rollback"),
        ("jobyard token cr", "create"),
        ("jobyard runs --js", "--json"),
    ):
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
        assert cli().out.split() == [wanted]


def test_every_command_has_help_with_examples_that_can_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_PASSWORD", "so that none is asked for")
    known = dict(commands())
    for name, command in known.items():
        assert command.help, name
        assert EXAMPLES in (command.epilog or ""), name
        calls = [call for line in command.epilog.splitlines()[2:] for call in _calls(line)]
        assert calls, name
        for call in calls:
            _parse(known, call)


def _calls(line: str) -> Iterator[list[str]]:
    """The arguments of each `jobyard` in an example."""
    words = shlex.split(line)
    ends = [*(at for at, word in enumerate(words) if word in ("|", ">")), len(words)]
    for start, end in pairwise([-1, *ends]):
        call = list(dropwhile(re.compile(r"[A-Z_]+=").match, words[start + 1 : end]))
        if call[:1] == ["jobyard"]:
            yield call[1:]


def _parse(known: dict[str, Any], call: list[str]) -> None:
    """Like a call, but without it. Raises for an unknown command or option."""
    words = 2 if " ".join(call[:2]) in known else 1
    known[" ".join(call[:words])].make_context("jobyard", call[words:])


def test_the_version_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", {"jobyard": "1.2.3"}.__getitem__)
    assert cli("--version").out == "jobyard 1.2.3\n"


def test_a_plan_is_json_with_the_names_of_the_interface(cli: Cli) -> None:
    plan = cli("plan", EXAMPLE_TREES / "python-plain-script", "--json").json
    wanted = {"runtime", "version", "version_source", "package_manager", "install_command", "build_command"}
    assert wanted | {"run_command", "processes", "reasons"} <= set(plan)
    assert plan["runtime"] == "python"
    assert "python" in cli("plan", EXAMPLE_TREES / "python-plain-script").out


def test_a_dockerfile_is_printed(cli: Cli) -> None:
    text = cli("dockerfile", EXAMPLE_TREES / "go-stdlib").out
    assert "FROM " in text
    assert cli("dockerfile", EXAMPLE_TREES / "go-stdlib", "--json").json == {
        "dockerfile": text,
        "dockerignore": DOCKERIGNORE,
    }


def test_a_dockerfile_is_written_with_its_ignore_file_where_there_is_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("print(1)\n")
    text = cli("dockerfile", tmp_path).out
    assert cli("dockerfile", tmp_path, "--write").out == (
        f"Wrote {tmp_path / 'Dockerfile'}.\nWrote {tmp_path / '.dockerignore'}.\n"
    )
    assert (tmp_path / "Dockerfile").read_text() == text
    assert (tmp_path / ".dockerignore").read_text() == DOCKERIGNORE
    again = cli("dockerfile", tmp_path, "--write")
    assert (again.status, again.err) == (1, f"jobyard: {tmp_path} has a Dockerfile already: Dockerfile.\n")


def test_an_ignore_file_of_ones_own_stays(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("print(1)\n")
    (tmp_path / ".dockerignore").write_text("docs\n")
    assert cli("dockerfile", tmp_path, "--json").json["dockerignore"] == "docs\n"
    assert cli("dockerfile", tmp_path, "--write").out == f"Wrote {tmp_path / 'Dockerfile'}.\n"
    assert (tmp_path / ".dockerignore").read_text() == "docs\n"


@pytest.mark.parametrize("command", ["plan", "dockerfile"])
def test_what_is_not_recognised_is_status_1_and_a_sentence(cli: Cli, tmp_path: Path, command: str) -> None:
    for where in (tmp_path, tmp_path / "missing"):
        done = cli(command, where)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("jobyard: ")
        assert done.err.count("\n") == 1


def test_a_schedule_is_one_time_a_line(cli: Cli) -> None:
    done = cli("schedule", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-10-24", "--count", 3)
    assert done.out.splitlines() == [
        "2026-10-24T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    assert done.err.startswith("2026-10-25: 02:30 comes twice")
    fires = cli("schedule", "@daily", "--from", "2026-01-31T12:00:00Z", "--count", 1, "--json").json["fires"]
    assert fires == [{"at": "2026-02-01T00:00:00Z", "local": "2026-02-01T00:00:00+00:00", "note": None}]
    assert len(cli("schedule", "*/5 * * * *").out.splitlines()) == 5


@pytest.mark.parametrize(
    "args",
    [
        ("0 0 31 2 *",),
        ("* * * * * *",),
        ("H * * * *",),
        ("60 * * * *",),
        ("@daily", "--tz", "Mars/Olympus"),
        ("@daily", "--from", "teatime"),
        ("@daily", "--from", "9999-01-01"),
        ("@daily", "--count", "0"),
    ],
)
def test_a_refused_schedule_is_status_2_with_the_reason(cli: Cli, args: tuple[str, ...]) -> None:
    done = cli("schedule", *args)
    assert (done.status, done.out) == (2, "")
    assert done.err


@given(st.sampled_from(["succeeded", "failed", "cancelled"]), st.none() | st.integers(-300, 70_000))
def test_a_run_that_did_not_succeed_never_exits_0(status: str, exit_code: int | None) -> None:
    code = exit_code_of({"status": status, "exit_code": exit_code})
    assert (code == 0) == (status == "succeeded")
    assert 0 <= code <= 255
    if status == "failed" and exit_code in range(1, 256):
        assert code == exit_code


@given(
    st.lists(
        st.sampled_from(["a", "é", "\n", "\x1b", "[", "31m", "2J", "]52;c;x", "\x07", "\\", "\x9b", "(B"])
    )
)
def test_a_terminal_gets_colours_and_no_other_sequence(parts: list[str]) -> None:
    whole = "".join(parts)
    text = TerminalText()
    pieces = "".join(text.feed(part) for part in parts)
    rest = re.sub(r"\x1b\[[0-9;:]*m", "", pieces)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", rest)
    assert TerminalText().feed(whole) == pieces


def test_text_from_elsewhere_is_harmless() -> None:
    assert plain("feat: \x1b]0;title\x07 ok\u202e") == "feat: \ufffd]0;title\ufffd ok\ufffd"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (2.25, "2.2 s"),
        (59, "59 s"),
        (60, "1 min"),
        (7200, "2 h"),
        (86_400, "1 day"),
        (200_000, "2 days"),
    ],
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_times_are_relative_and_absolute() -> None:
    local = datetime(2026, 1, 31, 11, 57, tzinfo=UTC).astimezone()
    assert when("2026-01-31T11:57:00Z", NOW) == f"3 min ago · {local:%Y-%m-%d %H:%M:%S}"
    assert when(rfc3339(NOW + timedelta(hours=2)), NOW).startswith("in 2 h · ")
    assert when(rfc3339(NOW), NOW).startswith("now · ")
    assert when(None, NOW) == ""


def test_times_are_read_in_the_zone_that_is_meant() -> None:
    assert rfc3339(read_time("2026-01-31T12:00:00+02:00", "--at")) == "2026-01-31T10:00:00Z"
    assert rfc3339(read_time("2026-01-31", "--at", UTC)) == "2026-01-31T00:00:00Z"
    with pytest.raises(InvalidValue, match="--at must be a time"):
        read_time("31.1.2026", "--at")


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (judge_git("git version 2.39.5"), "ok"),
        (judge_git("git version 2.50.1.windows.1"), "ok"),
        (judge_git("git version 2.9.0"), "fail"),
        (judge_git("who knows"), "warn"),
        (judge_disk(2**40), "ok"),
        (judge_disk(5 * 2**30), "warn"),
        (judge_disk(2**20), "fail"),
    ],
)
def test_the_doctor_judges(finding: Finding, state: str) -> None:
    assert finding.state == state


def test_names_can_not_leave_their_place_in_a_path() -> None:
    assert path("projects", "../x?y#z", 7) == "/projects/..%2Fx%3Fy%23z/7"


def api_of(answer: Any) -> Api:
    http = httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://jobyard.test")
    return Api(ClientSettings(url="http://jobyard.test"), http)


def test_a_followed_log_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.client.time.sleep", lambda _: None)
    parts = {
        None: "id: 4\ndata: one\ndata: \n\n",
        "4": "id: 8\ndata: two\ndata: \n\nid: 8\nevent: end\ndata: \n\n",
    }

    def answer(request: httpx2.Request) -> httpx2.Response:
        text = parts[request.headers.get("last-event-id")]
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})

    lost: list[str] = []
    pieces = list(api_of(answer).follow("/runs/1/logs", lambda: lost.append("lost")))
    assert pieces == [Piece("one\n", "4"), Piece("two\n", "8")]
    assert lost == ["lost"]


def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr("app.cli.client.time.sleep", paused.append)
    calls: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.headers.get("last-event-id"))
        if len(calls) > 1:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(
            200, text="id: 4\ndata: one\n\n", headers={"content-type": "text/event-stream"}
        )

    with pytest.raises(Unreachable, match="went away"):
        list(api_of(answer).follow("/runs/1/logs", lambda: None))
    assert calls == [None, *["4"] * len(paused)]
    assert 30 < sum(paused) < 120


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (("--build", "latest"), {"build": "latest"}),
        (("--build", "12"), {"build": 12}),
        (("--image", "busybox:1"), {"image": "busybox:1"}),
    ],
)
def test_a_deploy_says_what(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], sent: dict[str, Any]
) -> None:
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            requests.append(request)
        return httpx2.Response(202, json={})

    client = httpx2.Client
    monkeypatch.setattr(
        "app.cli.client.httpx2.Client",
        lambda **options: client(transport=httpx2.MockTransport(answer), **options),
    )
    assert cli("deploy", "acme/report", *args, "--json").json == {}
    (request,) = requests
    assert request.url.path == "/api/v1/projects/acme/jobs/report/deploy"
    assert json.loads(request.content) == sent
    assert request.headers["idempotency-key"]


def test_every_job_and_run_that_is_named_is_completed() -> None:
    """But not runs of flows, which have numbers."""
    arguments = [
        (name, param)
        for name, command in commands()
        for param in command.params
        if param.param_type_name == "argument" and param.metavar in ("JOB", "[JOB]", "JOB|APP", "RUN")
        if not name.startswith("flow ")
    ]
    assert len(arguments) > 10
    assert [name for name, param in arguments if param._custom_shell_complete is None] == []


def test_a_plan_without_a_command_is_shown_with_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    done = cli("plan", tmp_path)
    assert done.status == 1
    assert "install          pip install -r requirements.txt" in done.out
    assert done.err.startswith("jobyard: No start command: found no script or entry point to run.")
    told = cli("plan", tmp_path, "--json")
    found = json.loads(told.out)
    assert (told.status, found["runtime"], found["run_command"]) == (1, "python", None)


def test_a_plan_takes_the_settings_of_a_build(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/a.py").write_text("print(1)\n")
    (tmp_path / "package.json").write_text('{"dependencies": {"ms": "2"}}')
    options = (
        "--root-directory",
        "/jobs",
        "--mode",
        "python",
        "--run-command",
        "python a.py --all",
        "--json",
    )
    found = cli("plan", tmp_path, *options).json
    assert (found["runtime"], found["root_directory"], found["run_command"]) == (
        "python",
        "jobs",
        "python a.py --all",
    )
    refused = cli("plan", tmp_path, "--mode", "cobol")
    assert (refused.status, refused.err.partition(", not ")[2]) == (1, "'cobol'.\n")


def test_a_plan_says_what_else_it_could_be(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "job.py").write_text("print(1)\n")
    (tmp_path / "package.json").write_text('{"dependencies": {"ms": "2"}}')
    done = cli("plan", tmp_path, "--explain")
    assert done.out.endswith(
        "\nCould be built as:\n  python         requirements.txt\n  node           package.json\n\n"
        "Directories:\n  nothing else\n"
    )
    found = cli("plan", tmp_path, "--explain", "--json").json
    assert found["could_be_built_as"] == [["python", "requirements.txt"], ["node", "package.json"]]
