"""Runs from the command line: started with overrides, followed to their end, exited as they did."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.cli import output
from app.domain.redaction import Redactor
from app.domain.runs import Outcome, Reason, conclude, no_answer
from app.logs import LogWriter, Stream
from app.store import run_attempts, runs
from app.web.run_texts import GIVEN
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends
from tests.support.cli import Cli, point_at, serving
from tests.support.meanwhile import Meanwhile
from tests.support.project import ROOT

JOB = "/projects/acme/jobs/report"
FAILED = Outcome(Reason.EXIT_NONZERO, exit_code=7, sentence="Exited with 7.")
WITHIN_SECONDS = 30


@pytest.fixture
def cli(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Cli]:
    admin.made(
        "/projects/acme/jobs",
        {"name": "report", "source": {"type": "image", "image": "busybox:1"}, "env": {"MODE": "daily"}},
    )
    monkeypatch.chdir(tmp_path)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        yield Cli(capsys)


def test_a_run_takes_what_is_different_this_time(cli: Cli, admin: Caller) -> None:
    made = cli(
        *(
            "run",
            "report",
            "-e",
            "DAY=2026-01-31",
            "-e",
            "EMPTY=",
            "--unset",
            "MODE",
            "--command",
            "echo 'a b'",
        ),
        *("--plan", "micro", "--retry-limit", 2, "--time-limit", 60, "--json"),
    ).json
    assert made == admin.got(f"/runs/{made['id']}")
    effective = made["effective"]
    assert effective["env"] == {"DAY": "2026-01-31", "EMPTY": ""}
    assert (effective["command"], effective["plan"]) == ("echo 'a b'", "micro")
    assert (made["retry_limit"], made["time_limit_seconds"]) == (2, 60)
    assert "is queued" in cli("run", "report").out


def test_a_dry_run_starts_nothing_and_says_from_where(cli: Cli, admin: Caller) -> None:
    dry_run = cli("run", "report", "--retry-limit", 3, "--dry-run", "--json").json
    assert dry_run["origins"]["retry_limit"] == "override"
    assert "override" in cli("run", "report", "--retry-limit", 3, "--dry-run").out
    assert admin.got(f"{JOB}/runs")["items"] == []


def test_a_dry_run_has_a_line_for_each_variable(cli: Cli, admin: Caller) -> None:
    env = {"MODE": "daily", "TOKEN": {"value": "hidden away", "secret": True}, "KEPT": "yes"}
    admin.made("/projects/acme/jobs", {"name": "other", "env": env})
    changes = ("-e", "DAY=2026-01-31", "-e", "TOKEN=hidden again", "--unset", "MODE")
    said = cli("run", "other", *changes, "--dry-run").out
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert {name: row for name, row in rows.items() if name.startswith("env")} == {
        "env.MODE": ["(removed)", "override"],
        "env.TOKEN": ["***", "override"],
        "env.KEPT": ["yes", "job"],
        "env.DAY": ["2026-01-31", "override"],
    }
    assert "hidden" not in said


def test_a_dry_run_ends_with_the_address_of_the_form_filled_in(
    cli: Cli, admin: Caller, context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the form reads from it makes the same run, but for the secret."""
    admin.made("/projects/acme/jobs", {"name": "other", "env": {"TOKEN": {"value": "old", "secret": True}}})
    given = {
        "command": ["echo", "a b", "*"],
        "shell": True,
        "plan": "micro",
        "retry_limit": 0,
        "time_limit_seconds": None,
        "image": "busybox:1.36",
        "env": {
            "DAY": "a&b=c d",
            "DEBUG": None,
            "TOKEN": "hidden",
            "KEY": {"value": "hidden too", "secret": True},
        },
    }
    url = admin.post("/projects/acme/jobs/other/runs?dry_run=1", json=given).json()["url"]
    address, _, query = url.partition("?")
    assert address == f"{context.public_url}/projects/acme/jobs/other/run"
    assert parse_qs(query) == {
        "command": ["echo 'a b' '*'"],
        "shell": ["1"],
        "plan": ["micro"],
        "retry_limit": ["0"],
        "time_limit_seconds": ["none"],
        "image": ["busybox:1.36"],
        "env": ["DAY=a&b=c d\nDEBUG"],
    }
    assert parse_qs(query).keys() <= set(GIVEN)
    assert cli("run", "other", "--dry-run").out.endswith(f"\n{address}\n")
    said = cli("run", "other", "-e", "TOKEN=hidden", "-e", "A=1", "--dry-run").out
    assert said.endswith(f"\n{address}?env=A%3D1\n")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--env", "DAY"),
        ("--env", "=x"),
        ("--retry-limit", "-1"),
        ("--no-such-option",),
        ("--build", "newest"),
    ],
)
def test_wrong_usage_is_status_2_and_starts_nothing(cli: Cli, admin: Caller, wrong: tuple[str, ...]) -> None:
    assert cli("run", "report", *wrong).status == 2
    assert admin.got(f"{JOB}/runs")["items"] == []


def test_a_paused_job_wants_to_be_asked_twice(cli: Cli, admin: Caller) -> None:
    admin.made(f"{JOB}/pause")
    refused = cli("run", "report")
    assert refused.status == 1
    assert "confirm with --confirm-paused" in refused.err
    assert cli("run", "report", "--confirm-paused").status == 0


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(None, exit_code=0), 0),
        (FAILED, 7),
        (Outcome(Reason.TIME_LIMIT, exit_code=0, sentence="time limit"), 1),
        (Outcome(Reason.ENGINE_FAILED, sentence="The engine failed."), 1),
        (Outcome(Reason.OUT_OF_MEMORY, exit_code=137, sentence="Out of memory."), 137),
    ],
)
def test_a_followed_run_prints_its_log_and_exits_as_it_did(
    cli: Cli, context: ServerContext, outcome: Outcome, status: int
) -> None:
    with Meanwhile(context, "runs", lambda: attempt_ends(context, outcome, b"first\nsecond\n")):
        done = cli("run", "report", "--follow")
    assert (done.status, done.out) == (status, "first\nsecond\n")
    assert outcome.sentence in done.err


class Heard:
    """What the commands say beside their output, to be waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._said: list[str] = []
        self._more = threading.Condition()
        self._say = output.say
        monkeypatch.setattr(output, "say", self._listen)

    def _listen(self, sentence: Any) -> None:
        with self._more:
            self._said.append(str(sentence))
            self._more.notify_all()
        self._say(sentence)

    def wait_for(self, part: str) -> None:
        with self._more:
            assert self._more.wait_for(lambda: any(part in each for each in self._said), WITHIN_SECONDS)


@pytest.mark.parametrize("command", ["run", "logs"])
def test_it_is_said_why_a_followed_run_waits(
    cli: Cli, context: ServerContext, admin: Caller, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("app.cli.waiting.LOOK_SECONDS", 0.02)
    waits = "Exited with 7 — retry 1 of 1 in 10 s."

    def retry() -> None:
        heard.wait_for(waits)
        context.clock.advance(minutes=10)  # type: ignore[attr-defined]
        run, attempt, writer = _begin(context)
        heard.wait_for("Attempt 2 began.")
        with writer:
            writer.write(context.clock.now(), Stream.STDOUT, b"two\n")
        _settle(context, run, attempt, Outcome(None, exit_code=0))

    if command == "logs":
        name = admin.made(f"{JOB}/runs", {"retry_limit": 1})["name"]
        attempt_ends(context, FAILED, b"one\n")
        assert waits in cli("attempts", name).err
        heard = Heard(monkeypatch)
        with Meanwhile(context, None, retry):
            done = cli("logs", "-f", name)
    else:
        heard = Heard(monkeypatch)
        with Meanwhile(context, "runs", lambda: (attempt_ends(context, FAILED, b"one\n"), retry())):
            done = cli("run", "report", "--retry-limit", 1, "--follow")
    assert (done.status, done.out) == (0, "one\ntwo\n")
    assert done.err.count(waits) == 1
    assert done.err.index(waits) < done.err.index("Attempt 2 began.")


def test_attempts_of_a_run_that_has_not_begun_say_why(
    cli: Cli, context: ServerContext, admin: Caller
) -> None:
    name = admin.made(f"{JOB}/runs")["name"]
    assert "It has not begun yet." in cli("attempts", name).err
    now = context.clock.now()
    with context.db.write() as tx:
        run = runs.claim(tx, "tests", now)
        assert run is not None
        nobody = no_answer(run, "The registry does not answer.", now)
        run_attempts.conclude(tx, run, None, Outcome(Reason.ENGINE_FAILED), nobody, now)
    assert "The registry does not answer. Asked again in 5 s." in cli("attempts", name).err
    assert cli("attempts", name, "--json").json == {"items": []}


def test_with_json_the_log_goes_aside(cli: Cli, context: ServerContext, admin: Caller) -> None:
    with Meanwhile(context, "runs", lambda: attempt_ends(context, Outcome(None, exit_code=0), b"the log\n")):
        done = cli("run", "report", "--follow", "--json")
    assert done.json == admin.got(f"/runs/{done.json['id']}")
    assert "the log\n" in done.err


def test_a_cancelled_run_exits_130(cli: Cli, context: ServerContext, admin: Caller) -> None:
    def cancel() -> None:
        (run,) = admin.got(f"{JOB}/runs")["items"]
        admin.made(f"/runs/{run['id']}/cancel")

    with Meanwhile(context, "runs", cancel):
        done = cli("run", "report", "--follow")
    assert (done.status, done.out) == (130, "")
    assert "● cancelled" in done.err


def test_a_log_is_followed_over_a_restart_of_the_server(
    admin: Caller,
    context: ServerContext,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Each line once, in order, although the connection is lost in the middle."""
    monkeypatch.chdir(tmp_path)
    admin.made("/projects/acme/jobs", {"name": "report", "source": {"type": "image", "image": "busybox:1"}})
    name = admin.made(f"{JOB}/runs")["name"]
    run, attempt, writer = _begin(context)
    writer.write(context.clock.now(), Stream.STDOUT, b"before\n")
    with ExitStack() as first:
        port = first.enter_context(serving(context))
        point_at(monkeypatch, port)

        def restart() -> None:
            first.close()
            with writer:
                writer.write(context.clock.now(), Stream.STDOUT, "meanwhile, at 20 °C\n".encode())
            _settle(context, run, attempt, FAILED)
            second.enter_context(serving(context, port))

        cut = threading.Thread(target=restart)
        monkeypatch.setattr("app.cli.logs.follow_log", _then(cut.start))
        with ExitStack() as second:
            done = Cli(capsys)("logs", "-f", name)
            cut.join(WITHIN_SECONDS)
    assert (done.status, done.out) == (0, "before\nmeanwhile, at 20 °C\n")
    assert "trying again" in done.err


def _then(action: Callable[[], Any]) -> Callable[..., None]:
    """`follow_log` that does `action` after the first piece."""
    from app.cli.logs import follow_log

    class Tee:
        def __init__(self, to: Any) -> None:
            self._to, self._seen = to, False

        def write(self, text: str) -> None:
            self._to.write(text)
            if not self._seen:
                self._seen = True
                action()

        def flush(self) -> None:
            self._to.flush()

        def isatty(self) -> bool:
            return False

    return lambda api, where, to, *args, **kwargs: follow_log(api, where, Tee(to), *args, **kwargs)  # type: ignore[arg-type]


def _begin(context: ServerContext) -> tuple[Any, Any, LogWriter]:
    with context.db.write() as tx:
        run = runs.claim(tx, "tests", context.clock.now())
        assert run is not None
        attempt = run_attempts.begin_attempt(tx, run, context.clock.now())
        assert attempt is not None
    return run, attempt, context.log_storage.write_attempt(run.id, attempt.number, Redactor([]))


def _settle(context: ServerContext, run: Any, attempt: Any, outcome: Outcome) -> None:
    now = context.clock.now()
    with context.db.write() as tx:
        current = runs.with_id(tx, run.id)
        for container in run_attempts.containers_of(tx, attempt.id):
            run_attempts.container_ended(tx, current, container, outcome, now)
        run_attempts.conclude(tx, current, attempt, outcome, conclude(current, outcome, now), now)


def test_logs_are_the_very_bytes_off_a_terminal(cli: Cli, context: ServerContext, admin: Caller) -> None:
    log = b"\x1b[31mred\x1b[0m 50%\r100%\n\xff\xfe\x00 no line break"
    admin.made(f"{JOB}/runs")
    run_id = attempt_ends(context, FAILED, log)
    entry = (sys.executable, "-c", "from app.cli import main; main()")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        (*entry, "logs", str(run_id)), env=environment, capture_output=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (log, b"")


def test_logs_of_one_attempt_and_as_json(cli: Cli, context: ServerContext, admin: Caller) -> None:
    made = admin.made(f"{JOB}/runs", {"retry_limit": 1})
    attempt_ends(context, FAILED, b"one\n")
    context.clock.advance(minutes=10)  # type: ignore[attr-defined]
    attempt_ends(context, Outcome(None, exit_code=0), b"two\n")
    assert cli("logs", made["name"]).out == "one\ntwo\n"
    assert cli("logs", made["name"], "--attempt", 2).out == "two\n"
    assert cli("logs", made["name"], "--json").json == {"text": "one\ntwo\n", "offset": "8"}
    assert cli("logs", made["name"], "--attempt", 3).status == 1
    assert cli("logs").status == 2
    statuses = [each["status"] for each in cli("attempts", made["id"], "--json").json["items"]]
    assert statuses == ["succeeded", "failed"]
    assert "Exited with 7." in cli("attempts", made["id"]).out
    assert "2 of 2: 1 succeeded, 1 failed" in cli("runs", "report").out


def test_logs_of_one_instance_or_stream(cli: Cli, context: ServerContext, admin: Caller) -> None:
    run = admin.made(f"{JOB}/runs")["name"]
    _, _, writer = _begin(context)
    with writer:
        for stream, data in ((Stream.STDOUT, b"one\n"), (Stream.STDERR, b"oops\n")):
            writer.write(context.clock.now(), stream, data, int(stream))
    assert cli("logs", run, "--stream", "stderr").out == "oops\n"
    assert cli("logs", run, "--instance", 1).out == "one\n"
    assert cli("logs", run, "--instance", 1, "--stream", "stderr").out == ""
    assert "a build has no streams" in cli("logs", "--build", 1, "--stream", "stderr").err
    assert cli("logs", run, "--stream", "both").status == 2


def test_runs_of_all_jobs_come_newest_first(cli: Cli, admin: Caller) -> None:
    admin.made("/projects", {"name": "other"})
    admin.made("/projects/other/jobs", {"name": "clean", "source": {"type": "image", "image": "busybox:1"}})
    first, second, third = (
        admin.made(f"{path}/runs")["name"] for path in (JOB, "/projects/other/jobs/clean", JOB)
    )
    names = [each["name"] for each in cli("runs", "--json").json["items"]]
    assert names == [third, second, first]
    assert [each["name"] for each in cli("runs", "-n", 1, "--json").json["items"]] == [third]
    assert cli("runs", "report", "--json").json == admin.got(f"{JOB}/runs")
    lines = cli("runs").out.splitlines()
    assert lines[0].startswith("RUN")
    assert lines[1].startswith(f"{third}  acme/report  ● queued")


def test_run_again_and_cancel(cli: Cli, context: ServerContext, admin: Caller) -> None:
    run_id = admin.made(f"{JOB}/runs", {"env": {"DAY": "2026-01-31"}})["id"]
    attempt_ends(context, FAILED)
    again = cli("rerun", run_id, "--json").json
    assert again["effective"]["env"]["DAY"] == "2026-01-31"
    assert "DAY" not in cli("rerun", run_id, "--current", "--json").json["effective"]["env"]
    assert cli("cancel", again["name"]).out == f"{again['name']} is cancelled.\n"
    stubborn = admin.made(f"{JOB}/runs", {})["name"]
    while _begin(context)[0].name != stubborn:
        pass
    assert cli("cancel", stubborn).out == f"{stubborn} is being cancelled.\n"
    forced = cli("cancel", stubborn).out
    assert forced == f"{stubborn} is being cancelled, forced: it is killed at once.\n"
    over = cli("cancel", again["name"])
    assert over.status == 1
    assert "over already" in over.err


def test_lines_of_a_log_are_found(cli: Cli, context: ServerContext, admin: Caller) -> None:
    name = admin.made(f"{JOB}/runs", {"retry_limit": 1})["name"]
    attempt_ends(context, FAILED, b"loading\n\x1b[31mERROR\x1b[0m: no file\n")
    context.clock.advance(minutes=10)  # type: ignore[attr-defined]
    attempt_ends(context, Outcome(None, exit_code=0), b"Loading again\n")
    assert cli("logs", name, "--search", "loading").out == "1:1: loading\n2:1: Loading again\n"
    assert cli("logs", name, "--search", "loading", "--attempt", 2).out == "2:1: Loading again\n"
    assert cli("logs", name, "--errors").out == "1:2: ERROR: no file\n"
    assert cli("logs", name, "--errors", "--json").json["text"] == "ERROR: no file"
    nothing = cli("logs", name, "--search", "absent")
    assert (nothing.status, nothing.out, nothing.err) == (0, "", "No line was found.\n")
    refused = cli("logs", name, "--search", "x", "--follow")
    assert refused.status == 2
    assert "give one of --search, --errors and --follow" in refused.err
