"""Whatever text a person gives has a length, and one that is too long is refused at once, naming field and limit."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from app.domain import limits
from builders.commands import LONGEST, exec_form
from tests.support.api import Caller

JOBS = "/projects/acme/jobs"
GIT = {"url": "https://github.com/acme/report"}
LONG = "a " * 200_000
SPREAD = {f"A{number}": "x" * 90_000 for number in range(6)}


def source(**fields: Any) -> dict[str, Any]:
    return {"source": {"type": "git", "git": GIT, **fields}}


def check(**fields: Any) -> dict[str, Any]:
    return {"health_checks": [{"type": "liveness", "protocol": "cmd", **fields}]}


TOO_LONG: list[tuple[str, str, dict[str, Any]]] = [
    ("name", "52", {"name": "a" * 53}),
    ("display_name", "100", {"display_name": LONG}),
    ("command", "32,768", {"command": LONG}),
    ("command", "32,768", {"command": ["a"] * 200_000}),
    ("command", "32,768", {"command": "a" * 40_000, "shell": True}),
    ("entrypoint", "32,768", {"entrypoint": LONG}),
    ("health_checks.0.cmd", "32,768", check(cmd=LONG)),
    ("health_checks.0.path", "1000", check(protocol="http", path="/" + LONG)),
    ("source.build.install_command", "10000", source(build={"install_command": LONG})),
    ("source.build.build_command", "10000", source(build={"build_command": LONG})),
    ("source.build.run_command", "10000", source(build={"run_command": LONG})),
    ("source.build.root_directory", "1000", source(build={"root_directory": "/" + LONG})),
    ("source.build.dockerfile", "1000", source(build={"dockerfile": "/" + LONG})),
    ("source.build.commit_flags.0", "100", source(build={"commit_flags": [LONG]})),
    ("source.build.commit_flags", "50", source(build={"commit_flags": ["a"] * 51})),
    ("source.git.url", "2000", source(git={"url": "https://github.com/" + "a" * 3000})),
    ("source.git.webhook_secret", "1000", source(git={**GIT, "webhook_secret": LONG})),
    ("schedule.cron", "250", {"kind": "cron", "schedule": {"cron": "1," * 90_000 + "1 * * * *"}}),
    ("schedule.cron", "250", {"kind": "cron", "schedule": {"cron": "9" * 5000 + " * * * *"}}),
    ("schedule.time_zone", "100", {"kind": "cron", "schedule": {"cron": "@daily", "time_zone": LONG}}),
    ("env", "1000", {"env": {f"A{number}": "x" for number in range(1001)}}),
    ("env", "524,288", {"env": SPREAD}),
    ("env", "524,288", {"env": {name: {"value": value} for name, value in SPREAD.items()}}),
    ("env.A.value", "100000", {"env": {"A": "x" * 100_001}}),
]
IDS = [f"{number} {field}" for number, (field, _, _) in enumerate(TOO_LONG)]


def refused(answer: Any, field: str, limit: str) -> None:
    assert answer.status_code == 422, answer.text
    assert len(answer.text) < 2000
    found = {each["field"]: each["message"] for each in answer.json()["errors"]}
    assert limit in found[field]


@pytest.mark.parametrize(("field", "limit", "given"), TOO_LONG, ids=IDS)
def test_a_job_with_too_long_a_text(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, field: str, limit: str, given: dict[str, Any]
) -> None:
    """Refused by its length, before anything splits it."""
    monkeypatch.setattr(shlex, "shlex", _splitting(shlex.shlex))
    refused(admin.post(JOBS, json={"name": "report", **given}), field, limit)


def _splitting(real: Callable[..., Any]) -> Callable[..., Any]:
    def split(text: str, *arguments: Any, **options: Any) -> Any:
        assert len(text) <= limits.COMMAND
        return real(text, *arguments, **options)

    return split


@pytest.mark.parametrize(
    ("path", "field", "limit", "body"),
    [
        ("/projects/acme/secret-groups", "env", "1000", {"name": "mail", "env": dict.fromkeys("AB", "")}),
        ("/projects/acme/secret-groups", "env", "524,288", {"name": "mail", "env": SPREAD}),
        ("/projects", "webhook_secret", "1000", {"name": "x", "webhook_secret": LONG}),
        ("/projects/acme/credentials", "secret", "20000", {"name": "x", "kind": "git", "secret": LONG}),
        ("/projects/acme/jobs/once/runs", "command", "32,768", {"command": LONG}),
        ("/projects/acme/jobs/once/runs", "entrypoint", "32,768", {"entrypoint": ["a" * 40_000]}),
        ("/projects/acme/jobs/once/runs", "env", "524,288", {"env": SPREAD}),
        (
            "/projects/acme/flows",
            "nodes.0.message",
            "10000",
            {"name": "x", "nodes": [{"name": "a", "type": "message", "message": LONG}]},
        ),
        (
            "/projects/acme/flows",
            "nodes.0.overrides.command",
            "32,768",
            {
                "name": "x",
                "nodes": [{"name": "a", "type": "run", "job": "once", "overrides": {"command": LONG}}],
            },
        ),
        ("/tokens", "name", "52", {"name": LONG}),
    ],
)
def test_anything_else_with_too_long_a_text(
    admin: Caller, path: str, field: str, limit: str, body: dict[str, Any]
) -> None:
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox"}})
    if limit == "1000" and "env" in body:
        body = {**body, "env": {f"A{number}": "x" for number in range(1001)}}
    refused(admin.post(path, json=body), field, limit)


def test_variables_that_patches_add_up_have_the_same_bound(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report", "env": dict(list(SPREAD.items())[:5])})
    refused(admin.patch(f"{JOBS}/report", json={"env": {"B": "x" * 90_000}}), "env", "524,288")


def test_what_is_just_short_enough_is_taken(admin: Caller) -> None:
    command = "a" * limits.COMMAND
    admin.made(JOBS, {"name": "report", "command": command, "display_name": "x" * limits.DISPLAY_NAME})
    assert admin.got(f"{JOBS}/report")["command"] == command


def test_a_command_of_a_repository_is_not_split_when_it_is_too_long() -> None:
    """A Procfile's, a script's of package.json's, or one of the settings, read outside of any server."""
    assert exec_form("a" * LONGEST) == ("a" * LONGEST,)
    with pytest.raises(ValueError, match="at most 32,768"):
        exec_form("a" * (LONGEST + 1))
    assert LONGEST == limits.COMMAND
