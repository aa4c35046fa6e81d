"""Every field of the forms with values that can't be accepted: 422, the field named, nothing saved, no secret said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from app.web.schemas.job import (
    BuildForm,
    BuildServiceSourceForm,
    CommandCheckForm,
    GitForm,
    GitSourceForm,
    HttpCheckForm,
    ImageSourceForm,
    JobForm,
    NoSourceForm,
    ScheduleForm,
    TcpCheckForm,
)
from app.web.schemas.tagged import names_of
from app.web.schemas.variables import EnvForm, EnvironmentSecretForm, FileSecretForm, VaultSecretForm
from tests.support.api import Caller

JOBS = "/projects/acme/jobs"
GIT = {"url": "https://github.com/acme/report"}
LONG = 10_001


def source(**fields: Any) -> dict[str, Any]:
    return {"source": {"type": "git", "git": GIT, **fields}}


def git(**fields: Any) -> dict[str, Any]:
    return source(git={**GIT, **fields})


def build(**fields: Any) -> dict[str, Any]:
    return source(build=fields)


def image(**fields: Any) -> dict[str, Any]:
    return {"source": {"type": "image", "image": "busybox:1.36"}, **fields}


def cron(**fields: Any) -> dict[str, Any]:
    return {"kind": "cron", "schedule": {"cron": "0 6 * * *", **fields}}


def check(**fields: Any) -> dict[str, Any]:
    return {"health_checks": [{"type": "liveness", "protocol": "tcp", "port": 80, **fields}]}


BAD: list[tuple[str, dict[str, Any]]] = [
    ("name", {"name": "Report"}),
    ("name", {"name": ""}),
    ("name", {"name": "a" * 53}),
    ("name", {"name": "-a"}),
    ("name", {"name": "a-"}),
    ("name", {"name": "a b"}),
    ("name", {"name": "a\n"}),
    ("name", {"name": None}),
    ("name", {"name": 7}),
    ("display_name", {"display_name": 7}),
    ("display_name", {"display_name": "x" * 101}),
    ("source", {"source": None}),
    ("source", {"source": "git"}),
    ("source.type", {"source": {}}),
    ("source.type", {"source": {"type": "svn"}}),
    ("source.git", {"source": {"type": "git"}}),
    ("source.git", {"source": {"type": "none", "git": GIT}}),
    ("source.git", source(git="https://github.com/acme/report")),
    ("source.git.submodules", git(submodules="yes")),
    ("source.git.tags", git(tags="[z-a]")),
    ("source.git.tags", git(tags="")),
    ("source.git.pull_requests", git(pull_requests="yes")),
    ("source.git.lfs", git(lfs=1)),
    ("source.build", {"source": {"type": "none", "build": {}}}),
    ("source.build_service", {"source": {"type": "build_service"}}),
    ("source.build_service", {"source": {"type": "build_service", "build_service": "nobody"}}),
    ("source.branch", source(branch="main")),
    ("source.branch", {"source": {"type": "build_service", "build_service": "all", "branch": ".."}}),
    ("source.image", {"source": {"type": "image"}}),
    ("source.image", {"source": {"type": "image", "image": ""}}),
    ("source.image", {"source": {"type": "image", "image": "Bad Image"}}),
    ("source.image", {"source": {"type": "image", "image": "busybox@sha256:12"}}),
    ("source.image", {"source": {"type": "image", "image": "-v"}}),
    ("source.image", source(image="busybox")),
    ("source.credential", source(credential="forge")),
    ("source.credential", {"source": {"type": "image", "image": "busybox", "credential": "nobody"}}),
    ("source.tag", {"source": {"type": "image", "image": "busybox", "tag": "1"}}),
    ("source.git.url", git(url="ftp://example.com/repo")),
    ("source.git.url", git(url="file:///srv/repo")),
    ("source.git.url", git(url="https://me:password@github.com/acme/report")),
    ("source.git.url", git(url="ext::sh -c true")),
    ("source.git.url", git(url="--upload-pack=x")),
    ("source.git.url", git(url="")),
    ("source.git.url", git(url=None)),
    ("source.git.branch", git(branch="")),
    ("source.git.branch", git(branch="-x")),
    ("source.git.branch", git(branch="a..b")),
    ("source.git.branch", git(branch="refs/heads/main")),
    ("source.git.branch", git(branch="a b")),
    ("source.git.branch", git(branch="a.lock")),
    ("source.git.credential", git(credential="nobody")),
    ("source.git.credential", git(credential=5)),
    ("source.git.webhook_secret", git(webhook_secret="")),
    ("source.git.webhook_secret", git(webhook_secret="short")),
    ("source.git.webhook_secret", git(webhook_secret=12345678)),
    ("source.build.mode", build(mode="buildpack")),
    ("source.build.root_directory", build(root_directory="app")),
    ("source.build.root_directory", build(root_directory="/app/../..")),
    ("source.build.dockerfile", build(dockerfile="Dockerfile")),
    ("source.build.dockerfile", build(dockerfile="/../Dockerfile")),
    ("source.build.target", build(target="")),
    ("source.build.install_command", build(install_command="")),
    ("source.build.install_command", build(mode="dockerfile", install_command="pip install .")),
    ("source.build.build_command", build(build_command=["make"])),
    ("source.build.build_command", build(mode="dockerfile", build_command="make")),
    ("source.build.run_command", build(run_command="x" * LONG)),
    ("source.build.time_limit_seconds", build(time_limit_seconds=0)),
    ("source.build.time_limit_seconds", build(time_limit_seconds=None)),
    ("source.build.paths", build(paths="docs/")),
    ("source.build.paths.1", build(paths=["docs/", "!"])),
    ("source.build.paths.0", build(paths=[""])),
    ("source.build.paths.0", build(paths=["[z-a]"])),
    ("source.build.paths_mode", build(paths_mode="deny")),
    ("source.build.commit_flags", build(commit_flags="[skip ci]")),
    ("source.build.commit_flags.0", build(commit_flags=[""])),
    ("source.build.commit_flags.0", build(commit_flags=[" \t"])),
    ("source.build.commit_flags.0", build(commit_flags=["[skip\nci]"])),
    ("ci_enabled", {"ci_enabled": "yes"}),
    ("ci_enabled", {"ci_enabled": 1}),
    ("cd_enabled", {"cd_enabled": None}),
    ("builds_in_flight", {"builds_in_flight": "some"}),
    ("builds_in_flight", image(builds_in_flight="latest")),
    ("builds_in_flight", {"builds_in_flight": "latest"}),
    ("run_on_image_change", {"run_on_image_change": "sometimes"}),
    ("run_on_image_change", image(run_on_image_change="always")),
    ("non_root", {"non_root": "yes"}),
    ("read_only", {"read_only": 1}),
    ("network", {"network": "host"}),
    ("kind", {"kind": "daemon"}),
    ("schedule", {"kind": "cron"}),
    ("schedule", {"kind": "manual", "schedule": {"cron": "0 6 * * *"}}),
    ("schedule", {"kind": "cron", "schedule": "0 6 * * *"}),
    ("schedule.cron", {"kind": "cron", "schedule": {}}),
    ("schedule.cron", cron(cron="* * * * * *")),
    ("schedule.cron", cron(cron="61 * * * *")),
    ("schedule.cron", cron(cron="0 0 31 2 *")),
    ("schedule.cron", cron(cron="")),
    ("schedule.cron", cron(cron=5)),
    ("schedule.time_zone", cron(time_zone="Mars/Base")),
    ("schedule.time_zone", cron(time_zone="../../etc/passwd")),
    ("schedule.active", cron(active="no")),
    ("schedule.concurrency_policy", cron(concurrency_policy="queue")),
    ("schedule.starting_deadline_seconds", cron(starting_deadline_seconds=0)),
    ("deploy_trigger", {"deploy_trigger": "before"}),
    ("command", {"command": ""}),
    ("command", {"command": "echo 'unfinished"}),
    ("command", {"command": []}),
    ("command", {"command": ["echo", 1]}),
    ("command", {"command": {"run": "x"}}),
    ("entrypoint", {"entrypoint": [""]}),
    ("entrypoint", {"entrypoint": 7}),
    ("shell", {"shell": "bash"}),
    ("command", {"shell": True}),
    ("command", {"shell": True, "entrypoint": "tini --"}),
    ("command", build(run_command="python main.py") | {"shell": True}),
    ("process", {"process": ""}),
    ("process", {"process": "a b"}),
    ("process", {"process": "worker", "command": "python main.py"}),
    ("process", image(process="worker")),
    ("env", {"env": []}),
    ("env", {"env": "A=B"}),
    ("env.1A", {"env": {"1A": "x"}}),
    ("env.A-B", {"env": {"A-B": "x"}}),
    ("env.", {"env": {"": "x"}}),
    ("env.A", {"env": {"A": 5}}),
    ("env.A", {"env": {"A": None}}),
    ("env.A", {"env": {"A": ["x"]}}),
    ("env.A", {"env": {"A": "NUL \0"}}),
    ("env", {"env": {"A\0": "x"}}),
    ("env.A.value", {"env": {"A": {}}}),
    ("env.A.value", {"env": {"A": {"value": 5}}}),
    ("env.A.value", {"env": {"A": {"secret": True}}}),
    ("env.A.value", {"env": {"A": "x" * 100_001}}),
    ("env.A.secret", {"env": {"A": {"value": "x", "secret": "yes"}}}),
    ("env.A.scope", {"env": {"A": {"value": "x", "scope": "test"}}}),
    ("env.A.scope", image(env={"A": {"value": "x", "scope": "build"}})),
    ("env.A.hidden", {"env": {"A": {"value": "x", "hidden": True}}}),
    ("plan", {"plan": "enormous"}),
    ("plan", {"plan": None}),
    ("instances", {"instances": 0}),
    ("instances", {"instances": 101}),
    ("instances", {"instances": 1.5}),
    ("instances", {"instances": "3"}),
    ("retry_limit", {"retry_limit": -1}),
    ("retry_limit", {"retry_limit": 101}),
    ("retry_limit", {"retry_limit": True}),
    ("retry_limit", {"retry_limit": 10**30}),
    ("retry_backoff", {"retry_backoff": "linear"}),
    ("time_limit_seconds", {"time_limit_seconds": 0}),
    ("time_limit_seconds", {"time_limit_seconds": 10**12}),
    ("grace_period_seconds", {"grace_period_seconds": 0}),
    ("grace_period_seconds", {"grace_period_seconds": 601}),
    ("grace_period_seconds", {"grace_period_seconds": None}),
    ("health_checks", {"health_checks": {}}),
    ("health_checks", {"health_checks": [{"type": "startup", "protocol": "tcp", "port": 1}] * 3}),
    ("health_checks.1.type", {"health_checks": [{"type": "startup", "protocol": "tcp", "port": 1}] * 2}),
    ("health_checks.0.type", check(type="readiness")),
    ("health_checks.0.path", check(protocol="http", path="ready")),
    ("health_checks.0.protocol", check(protocol="udp")),
    ("health_checks.0.port", check(port=0)),
    ("health_checks.0.port", check(port=None)),
    ("health_checks.0.path", check(path="/health")),
    ("health_checks.0.path", check(protocol="http")),
    ("health_checks.0.cmd", check(protocol="cmd", port=None)),
    ("health_checks.0.cmd", check(cmd="")),
    ("health_checks.0.initial_delay_seconds", check(initial_delay_seconds=181)),
    ("health_checks.0.period_seconds", check(period_seconds=9)),
    ("health_checks.0.timeout_seconds", check(timeout_seconds=61)),
    ("health_checks.0.failure_threshold", check(failure_threshold=256)),
    ("health_checks.0.success_threshold", check(success_threshold=0)),
    ("paused", {"paused": 0}),
    ("retries", {"retries": 3}),
    ("env.A.from", {"env": {"A": {"from": "elsewhere", "path": "a"}}}),
    ("env.A.path", {"env": {"A": {"from": "file", "path": "../a"}}}),
    ("env.A.name", {"env": {"A": {"from": "env", "name": "A-B"}}}),
    ("env.A.key", {"env": {"A": {"from": "vault", "path": "secret/data/a", "key": ""}}}),
    ("id", {"id": 3}),
]


@pytest.mark.parametrize(("field", "given"), BAD)
def test_a_bad_field_is_named_and_nothing_is_saved(admin: Caller, field: str, given: dict[str, Any]) -> None:
    answer = admin.post(JOBS, json={"name": "report", **given})
    problem = answer.json()
    assert answer.status_code == 422, problem
    assert answer.headers["content-type"] == "application/problem+json"
    messages = {error["field"]: error["message"] for error in problem["errors"]}
    assert field in messages, problem
    assert field in messages[field]
    assert messages[field].endswith(".")
    assert problem["detail"].startswith(problem["errors"][0]["message"])
    assert admin.got(JOBS)["items"] == []


def test_the_table_has_every_field() -> None:
    tried = {part for field, _ in BAD for part in [field.split(".")[-1], field.split(".")[0]]}
    forms: list[type[BaseModel]] = [
        JobForm, GitSourceForm, BuildServiceSourceForm, ImageSourceForm, NoSourceForm, GitForm, BuildForm,
        ScheduleForm, HttpCheckForm, TcpCheckForm, CommandCheckForm, EnvForm, FileSecretForm,
        EnvironmentSecretForm, VaultSecretForm,
    ]  # fmt: skip
    assert {name for form in forms for name in names_of(form)} - tried == set()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"retry_limit": 101}, "retry_limit must be at most 100, not 101."),
        ({"retry_limit": "2"}, "retry_limit must be a whole number, not '2'."),
        ({"kind": "daemon"}, "kind must be 'manual' or 'cron', not 'daemon'."),
        ({"shell": 1}, "shell must be true or false, not 1."),
        (
            {"shell": True},
            "command is missing: shell wraps a command or a process, not what the image runs; or leave shell out.",
        ),
        ({"plan": "huge"}, "plan must be one of the plans micro, small, medium, large, xlarge, not 'huge'."),
        ({"retries": 3}, "There is no field retries."),
        ({"source": {"type": "git", "git": {}}}, "source.git.url is missing."),
        (
            {"source": {"type": "image", "image": "x", "git": GIT}},
            "source.git is not for a source of type image: leave it out.",
        ),
    ],
)
def test_a_message_says_what_would_be_right(admin: Caller, given: dict[str, Any], said: str) -> None:
    assert admin.post(JOBS, json={"name": "report", **given}).json()["detail"] == said


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (JOBS, {"name": "x", "env": {"A": {"value": SECRET, "secret": "yes"}}}),
        (JOBS, {"name": "x", "env": {"A": {"valeu": SECRET}}}),
        (JOBS, {"name": "x", "env": SECRET}),
        (JOBS, {"name": "x", "webhook_secret": SECRET}),
        (JOBS, {"name": "x", "webhok_secret": SECRET}),
        (JOBS, {"name": "x", **git(webhook_secret=SECRET)}),
        (JOBS, {"name": "x", **git(url=f"https://me:{SECRET}@github.com/acme/report")}),
        ("/projects", {"name": "other", "webhook_secret": SECRET}),
        ("/projects/acme/credentials", {"name": "x", "kind": "svn", "secret": SECRET}),
        ("/projects/acme/credentials", {"name": "x", "kind": "git", "secret": [SECRET]}),
    ],
)
def test_no_error_repeats_a_secret(
    admin: Caller, caplog: pytest.LogCaptureFixture, path: str, body: dict[str, Any]
) -> None:
    answer = admin.post(path, json=body)
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert SECRET not in caplog.text


OTHER_FORMS = [
    ("/projects", "name", {"name": "A"}),
    ("/projects", "webhook_secret", {"name": "b", "webhook_secret": "short"}),
    ("/projects", "name", {}),
    ("/projects/acme/credentials", "kind", {"name": "b", "kind": "ssh", "secret": "x", "host": "a"}),
    ("/projects/acme/credentials", "secret", {"name": "b", "kind": "git", "host": "a"}),
    ("/projects/acme/credentials", "secret", {"name": "b", "kind": "git", "secret": "", "host": "a"}),
    ("/projects/acme/credentials", "host", {"name": "b", "kind": "git", "secret": "x", "host": "https://a"}),
    ("/projects/acme/credentials", "host", {"name": "b", "kind": "git", "secret": "x"}),
    ("/tokens", "role", {"name": "b", "role": "owner"}),
    ("/tokens", "project", {"name": "b", "project": "nobody"}),
    ("/tokens", "expires_at", {"name": "b", "expires_at": "2020-01-01T00:00:00Z"}),
    ("/tokens", "expires_at", {"name": "b", "expires_at": "tomorrow"}),
    ("/tokens", "expires_at", {"name": "b", "expires_at": "2030-01-01T00:00:00"}),
]


@pytest.mark.parametrize(("path", "field", "body"), OTHER_FORMS)
def test_a_bad_field_of_another_form_is_named(
    admin: Caller, path: str, field: str, body: dict[str, Any]
) -> None:
    answer = admin.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert field in answer.json()["detail"]


OVERRIDES = [
    ("image", {"image": "Bad Image"}),
    ("build", {"build": 99}),
    ("build", {"build": 0}),
    ("build", {"image": "busybox", "build": 1}),
    ("sha", {"sha": "main"}),
    ("sha", {"sha": "abcdef1"}),
    ("env.1", {"env": {"1": "x"}}),
    ("env.A.value", {"env": {"A": {}}}),
    ("command", {"command": []}),
    ("entrypoint", {"entrypoint": 5}),
    ("shell", {"shell": None}),
    ("process", {"process": "web", "command": "x"}),
    ("process", {"process": "web"}),
    ("plan", {"plan": "huge"}),
    ("retry_limit", {"retry_limit": 101}),
    ("time_limit_seconds", {"time_limit_seconds": 0}),
    ("confirm_paused", {"confirm_paused": "yes"}),
    ("grace_period_seconds", {"grace_period_seconds": 5}),
]


@pytest.mark.parametrize(("field", "given"), OVERRIDES)
def test_a_bad_override_is_named_and_nothing_runs(admin: Caller, field: str, given: dict[str, Any]) -> None:
    admin.made(JOBS, {"name": "report", "source": {"type": "image", "image": "busybox"}})
    answer = admin.post(f"{JOBS}/report/runs", json=given)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert admin.got(f"{JOBS}/report/runs")["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=99999999999999999999", "cursor"),
        ("page=2", "page"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_bad_query_is_named(admin: Caller, query: str, field: str) -> None:
    answer = admin.get(f"{JOBS}?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("build", [0, -1, 1.5, "newest", "1", True, [1], 2**63])
def test_a_build_to_deploy_is_an_id_or_the_latest(admin: Caller, build: Any) -> None:
    admin.made(JOBS, {"name": "report", **source()})
    answer = admin.post(f"{JOBS}/report/deploy", json={"build": build})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "build"
    assert 'must be the id of a build or "latest"' in error["message"]


@pytest.mark.parametrize("at", ["2026", "1769860800", "now", "", "2026-01-31T12:00:00"])
def test_a_time_is_no_number_and_says_its_zone(admin: Caller, at: str) -> None:
    answer = admin.get("/decisions", params={"since": at})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")


@pytest.mark.parametrize(
    "time",
    ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00%2B23:59", "1969-12-31T23:59:59Z", "now", "2026-01-31"],
)
@pytest.mark.parametrize(("path", "field"), [("why?at", "at"), ("schedule?from", "from")])
def test_a_time_out_of_reach_is_named(admin: Caller, path: str, field: str, time: str) -> None:
    schedule = {"cron": "0 0 29 2 *"}
    admin.made(JOBS, {"name": "report", "source": {"type": "none"}, "kind": "cron", "schedule": schedule})
    answer = admin.get(f"{JOBS}/report/{path}={time}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert f"{field} must" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"webhook": 1}, "There is no field webhook."),
        ({"display_name": "a" * 101}, "display_name must have at most 100 characters, not 101."),
        ({"env": 5}, "env must be an object, not a number."),
        ({"env": {"A": {"value": "s", "secret": "geheim"}}}, "env.A.secret must be true or false, not text."),
        (
            {"instances": 0, "retry_limit": -1},
            "instances must be at least 1, not 0. Also wrong: retry_limit.",
        ),
    ],
)
def test_the_sentence_says_what_was_given_and_of_secrets_its_kind(
    admin: Caller, given: dict[str, Any], said: str
) -> None:
    assert admin.post(JOBS, json={"name": "report", **given}).json()["detail"] == said
