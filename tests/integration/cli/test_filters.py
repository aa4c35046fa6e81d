"""Lists from the command line, narrowed as the API narrows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import pytest

from app.cli import filters
from app.domain.build_parts import BuildTriggerType
from app.domain.builds import BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.runs import RunStatus, TriggerType
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving

SINCE, UNTIL = "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.fixture
def cli(admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    for name in ("report", "other"):
        job = {"name": name, "source": {"type": "image", "image": "busybox:1"}}
        admin.made("/projects/acme/jobs", job)
        run = admin.made(f"/projects/acme/jobs/{name}/runs", {})
    admin.made(f"/runs/{run['id']}/cancel")
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        yield Cli(capsys)


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (filters.RUN_STATUSES, RunStatus),
        (filters.RUN_TRIGGERS, TriggerType),
        (filters.BUILD_STATUSES, BuildStatus),
        (filters.BUILD_TRIGGERS, BuildTriggerType),
        (filters.VERDICTS, Verdict),
        (filters.EVENTS, EventType),
    ],
)
def test_the_words_are_those_of_the_domain(words: Sequence[str], known: type[StrEnum]) -> None:
    assert sorted(words) == sorted(known)


@pytest.mark.parametrize(
    ("command", "wanted", "found"),
    [
        (["runs"], {"status": "cancelled"}, 1),
        (["runs"], {"status": "queued", "trigger": "api", "since": SINCE, "until": UNTIL}, 1),
        (["runs"], {"trigger": "schedule"}, 0),
        (["runs"], {"branch": "main"}, 0),
        (["runs"], {"until": SINCE}, 0),
        (["builds"], {"status": "failed", "trigger": "push", "branch": "main", "since": SINCE}, 0),
        (["decisions"], {"verdict": "started", "event": "manual"}, 2),
        (["decisions"], {"verdict": "started", "until": SINCE}, 0),
    ],
)
def test_each_list_takes_what_the_api_takes(
    cli: Cli, admin: Caller, command: list[str], wanted: dict[str, str], found: int
) -> None:
    options = [word for name, value in wanted.items() for word in (f"--{name}", value)]
    answer = cli(*command, *options, "--json").json
    assert answer == admin.got(f"/{command[0]}", **wanted)
    assert len(answer["items"]) == found


def test_those_of_one_job(cli: Cli, admin: Caller) -> None:
    of_job = cli("runs", "report", "--status", "cancelled", "--json").json
    assert of_job == admin.got("/projects/acme/jobs/report/runs", status="cancelled")
    assert of_job["items"] == []
    assert "No run is of this kind." in cli("runs", "report", "--status", "cancelled").err
    assert "There are no builds yet: start one with `jobyard build JOB`." in cli("builds").err
    assert "No build is of this kind." in cli("builds", "--status", "failed").err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "--status",
            "broken",
            "status must be 'queued', 'running', 'succeeded', 'failed' or 'cancelled', not 'broken'.",
        ),
        ("--since", "yesterday", "--since must be a time such as"),
        ("--until", "soon", "--until must be a time such as"),
    ],
)
def test_what_no_list_has_is_refused_by_its_name(cli: Cli, option: str, value: str, said: str) -> None:
    answer = cli("runs", option, value)
    assert answer.status != 0
    assert said in " ".join(answer.err.split())


@pytest.mark.parametrize("command", ["runs", "builds", "decisions"])
def test_the_help_names_what_can_be_said(cli: Cli, command: str) -> None:
    told = " ".join(cli(command, "--help").out.split())
    words = [filters.VERDICTS, filters.EVENTS] if command == "decisions" else [filters.RUN_STATUSES]
    assert all(word in told for each in words for word in each)
    assert "--since" in told
    assert "--until" in told
