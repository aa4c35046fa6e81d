"""A job's settings page: what it changes is what the API would, and what it refuses is refused as the API does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import NotFound
from app.domain.job.records import Job
from app.domain.job.variables import EnvValue
from app.domain.principals import Role
from app.store import jobs, runs
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.sealed import unsealed
from tests.support.seed import PASSWORD, World, world
from tests.support.server_context import ADMIN_TOKEN
from tests.support.shown import shown

ACME = "/api/v1/projects/acme"
PAGE = "/projects/acme/jobs/report/settings"
OURS = {"Sec-Fetch-Site": "same-origin"}
GIT = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
RICH = {
    "display_name": "The report <daily>",
    "source": {
        "type": "git",
        "git": {**GIT["git"], "branch": "release", "webhook_secret": "a long secret of the webhook"},
        "build": {"paths": ["docs/", "*.md"], "paths_mode": "allow", "build_command": "make all"},
    },
    "builds_in_flight": "latest",
    "run_on_image_change": "always",
    "kind": "cron",
    "schedule": {"cron": "0 6 * * *", "time_zone": "Europe/Berlin", "concurrency_policy": "forbid"},
    "command": ["python", "-c", "print('two words')"],
    "entrypoint": "tini --",
    "env": {
        "PLAIN": "one",
        "KEY": "first\r\nsecond\r\n",
        "BLANK": "\n\nbegins with line breaks",
        "EMPTY": "",
        "TOKEN": {"value": "the stored secret", "secret": True, "scope": "both"},
        "BUILD": {"value": "1", "scope": "build"},
    },
    "plan": "micro",
    "instances": 3,
    "retry_limit": 2,
    "retry_backoff": "fixed",
    "time_limit_seconds": 60,
    "grace_period_seconds": 5,
    "non_root": True,
    "read_only": True,
    "health_checks": [
        {"type": "startup", "protocol": "cmd", "cmd": "test -f /ready"},
        {"type": "liveness", "protocol": "http", "port": 80, "path": "/healthz", "period_seconds": 20},
    ],
}
SOURCES: dict[str, dict[str, Any]] = {
    "git": {"source": GIT},
    "build_service": {"source": {"type": "build_service", "build_service": "shared"}},
    "image": {"source": {"type": "image", "image": "busybox:1.36"}},
    "none": {},
    "rich": RICH,
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


@pytest.fixture
def api(made: World) -> Client:
    client = Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    client.post("/api/v1/projects", json={"name": "acme"})
    service = {"name": "shared", "git": {"url": "https://github.com/acme/shared"}}
    assert client.post(f"{ACME}/build-services", json=service).status_code == 201
    return client


@pytest.fixture
def page(made: World, api: Client) -> Client:
    return visitor(made, Role.ADMIN)


def visitor(made: World, role: Role) -> Client:
    client = Client(made.app(), follow_redirects=False, headers=OURS)
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def make(api: Client, **fields: Any) -> Any:
    answer = api.post(f"{ACME}/jobs", json={"name": "report", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def stored(made: World) -> Job:
    with made.db.read() as tx:
        return jobs.named(tx, "acme", "report")


def typed(page: Client, **changes: str | None) -> dict[str, str]:
    """The settings form with changes; None unticks a box. `__` stands for a dot."""
    fields = form_fields(page.get(PAGE).text, PAGE)
    for name, value in changes.items():
        field = name.replace("__", ".")
        fields.pop(field, None)
        if value is not None:
            fields[field] = value
    return fields


def row_of(fields: dict[str, str], variable: str) -> str:
    return next(name for name, value in fields.items() if value == variable).removesuffix(".name")


@pytest.mark.parametrize("source", SOURCES)
def test_saving_what_is_shown_changes_nothing(made: World, api: Client, page: Client, source: str) -> None:
    make(api, **SOURCES[source])
    before = stored(made)
    answer = page.post(PAGE, data=typed(page))
    assert answer.status_code == 303, answer.text
    after = stored(made)
    checks = [sorted(job.spec.run.health_checks, key=lambda each: each.type) for job in (before, after)]
    assert checks[0] == checks[1]
    specs = [replace(job.spec, run=replace(job.spec.run, health_checks=())) for job in (before, after)]
    assert specs[0] == specs[1]
    assert after.source == before.source
    assert after.next_fire_at == before.next_fire_at
    assert "Saved" in page.get(answer.headers["location"]).text


def test_every_setting_is_changed_on_the_page(api: Client, page: Client) -> None:
    make(api, source=GIT)
    changes: dict[str, str | None] = {
        "display_name": "Report",
        "source__git__url": "https://github.com/acme/other",
        "source__git__branch": "release",
        "source__build__mode": "dockerfile",
        "source__build__root_directory": "/app",
        "source__build__target": "run",
        "source__build__time_limit_seconds": "600",
        "source__build__paths": "docs/\r\n\r\n*.md",
        "source__build__paths_mode": "allow",
        "source__build__commit_flags": "[hold]",
        "ci_enabled": None,
        "cd_enabled": None,
        "builds_in_flight": "latest",
        "run_on_image_change": "always",
        "kind": "cron",
        "schedule__cron": "*/5 * * * *",
        "schedule__time_zone": "Europe/Berlin",
        "schedule__active": None,
        "schedule__concurrency_policy": "replace",
        "schedule__starting_deadline_seconds": "30",
        "command": "python 'main file.py'",
        "entrypoint": "tini --",
        "shell": "1",
        "plan": "micro",
        "instances": "4",
        "retry_limit": "2",
        "retry_backoff": "none",
        "time_limit_seconds": "90",
        "grace_period_seconds": "7",
        "health_checks__startup__protocol": "tcp",
        "health_checks__startup__port": "8080",
        "env__0__name": "MODE",
        "env__0__value": "daily",
        "env__1__name": "TOKEN",
        "env__1__value": "a new secret for it",
        "env__1__secret": "1",
    }
    assert page.post(PAGE, data=typed(page, **changes)).status_code == 303
    job = api.get(f"{ACME}/jobs/report").json()
    git, build = job["source"]["git"], job["source"]["build"]
    assert (git["url"], git["branch"]) == ("https://github.com/acme/other", "release")
    assert (build["mode"], build["root_directory"], build["target"]) == ("dockerfile", "/app", "run")
    assert (build["time_limit_seconds"], build["paths"]) == (600, ["docs/", "*.md"])
    assert (build["paths_mode"], build["commit_flags"]) == ("allow", ["[hold]"])
    assert (job["ci_enabled"], job["cd_enabled"], job["builds_in_flight"]) == (False, False, "latest")
    assert (job["run_on_image_change"], job["kind"]) == ("always", "cron")
    assert job["schedule"] == {
        "cron": "*/5 * * * *",
        "time_zone": "Europe/Berlin",
        "active": False,
        "concurrency_policy": "replace",
        "starting_deadline_seconds": 30,
    }
    assert (job["command"], job["entrypoint"], job["shell"]) == ("python 'main file.py'", "tini --", True)
    assert (job["plan"], job["instances"], job["retry_limit"]) == ("micro", 4, 2)
    assert (job["retry_backoff"], job["time_limit_seconds"], job["grace_period_seconds"]) == ("none", 90, 7)
    assert [(each["type"], each["port"]) for each in job["health_checks"]] == [("startup", 8080)]
    assert job["env"] == {"MODE": "daily", "TOKEN": {"value": None, "secret": True, "scope": "run"}}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("instances", "500"),
        ("instances", "many"),
        ("instances", ""),
        ("retry_limit", "-1"),
        ("retry_limit", "1.5"),
        ("plan", "gigantic"),
        ("command", "echo 'unfinished"),
        ("run_on_image_change", "sometimes"),
        ("source.git.branch", "a..b"),
        ("source.git.credential", "nobody"),
        ("source.build.paths", "docs/\n!"),
        ("source.build.root_directory", "app"),
        ("schedule.cron", "0 0 31 2 *"),
        ("schedule.cron", "* * * * * *"),
        ("schedule.time_zone", "Mars/Base"),
        ("grace_period_seconds", "601"),
        ("health_checks.startup.port", ""),
        ("health_checks.liveness.path", "/of-no-use"),
        ("env.A B", "x"),
    ],
)
def test_what_is_refused_says_so_at_its_field_and_saves_nothing(
    made: World, api: Client, page: Client, field: str, text: str
) -> None:
    made_job = dict(RICH)
    make(api, **made_job)
    before = stored(made)
    fields = typed(page, display_name="Typed in vain")
    if field.startswith("health_checks"):
        for kind in ("startup", "liveness"):
            fields[f"health_checks.{kind}.protocol"] = "tcp"
            fields[f"health_checks.{kind}.port"] = "80"
            fields[f"health_checks.{kind}.cmd"] = fields[f"health_checks.{kind}.path"] = ""
    if field == "env.A B":
        fields |= {"env.7.name": "A B", "env.7.value": text}
    else:
        fields[field] = text
    answer = page.post(PAGE, data=fields)
    assert answer.status_code == 422
    assert f'<a class="link" href="#f-{field}">' in answer.text
    assert 'class="error"' in answer.text
    assert stored(made) == before
    again = form_fields(answer.text, PAGE)
    assert again["display_name"] == "Typed in vain"
    if field in fields:
        assert again[field].replace("\r\n", "\n") == text


def test_a_shell_without_a_command_is_refused_at_the_command(made: World, api: Client, page: Client) -> None:
    make(api)
    before = stored(made)
    answer = page.post(PAGE, data=typed(page, shell="1", command=""))
    assert answer.status_code == 422
    assert '<a class="link" href="#f-command">' in answer.text
    assert "shell wraps a command or a process" in answer.text
    assert stored(made) == before
    assert page.post(PAGE, data=typed(page, shell="1", command="echo $HOME")).status_code == 303


def test_a_secret_is_kept_replaced_and_removed_but_never_shown(
    made: World, api: Client, page: Client
) -> None:
    secrets = {name: {"value": f"stored-{name}", "secret": True} for name in ("KEPT", "NEW", "OUT", "OPEN")}
    make(api, env=secrets)
    assert "stored-" not in page.get(PAGE).text
    fields = typed(page)
    fields[f"{row_of(fields, 'NEW')}.value"] = "typed-anew"
    fields[f"{row_of(fields, 'OUT')}.name"] = ""
    open_row = row_of(fields, "OPEN")
    del fields[f"{open_row}.secret"]
    refused = page.post(PAGE, data=fields)  # a secret does not become readable by calling it none
    assert refused.status_code == 422
    assert "typed-anew" not in refused.text
    assert "never shown" in refused.text
    assert "env.OPEN.value is missing" in refused.text
    fields[f"{open_row}.value"] = "for all to see"
    assert page.post(PAGE, data=fields).status_code == 303
    env = stored(made).env
    assert sorted(env) == ["KEPT", "NEW", "OPEN"]
    assert unsealed(made.box, env["KEPT"].value) == "stored-KEPT"
    assert unsealed(made.box, env["NEW"].value) == "typed-anew"
    assert env["OPEN"] == EnvValue("for all to see")


def test_two_rows_of_one_name_and_a_value_without_one_are_refused(api: Client, page: Client) -> None:
    make(api, env={"MODE": "daily"})
    twice = page.post(PAGE, data=typed(page, env__1__name="MODE", env__1__value="weekly"))
    assert (twice.status_code, "given twice" in twice.text) == (422, True)
    nameless = page.post(PAGE, data=typed(page, env__1__value="weekly"))
    assert (nameless.status_code, "has no name" in nameless.text) == (422, True)


def test_more_rows_save_nothing_and_keep_what_was_typed(made: World, api: Client, page: Client) -> None:
    make(api)
    before = stored(made)
    answer = page.post(PAGE, data=typed(page, more="1", env__0__name="MODE", env__0__value="daily"))
    fields = form_fields(answer.text, PAGE)
    assert (answer.status_code, fields["env.0.value"], "env.8.name" in fields) == (200, "daily", True)
    assert stored(made) == before


def test_a_preview_says_what_would_change_and_saves_nothing(made: World, api: Client, page: Client) -> None:
    make(api, env={"TOKEN": {"value": "the stored one", "secret": True}})
    before = stored(made)
    fields = typed(page, instances="3", kind="cron", schedule__cron="0 6 * * *", preview="1")
    answer = page.post(PAGE, data=fields | {"env.0.value": "the new one"})
    assert answer.status_code == 200
    changes = shown(answer.text[answer.text.index("What would change</h2>") :])
    for text in ("<code>1</code> → <code>3</code>", "<code>0 6 * * *</code>", "another secret", "due next"):
        assert text in changes
    assert "the new one" not in answer.text
    assert form_fields(answer.text, PAGE)["instances"] == "3"
    refused = page.post(PAGE, data={**fields, "instances": "500"})
    assert (refused.status_code, 'href="#f-instances"' in refused.text) == (422, True)
    assert stored(made) == before


def test_the_webhook_secret_is_kept_until_another_is_typed(made: World, api: Client, page: Client) -> None:
    make(api, **RICH)
    secret = stored(made).source.webhook_secret  # type: ignore[union-attr]
    fields = typed(page)
    assert fields["source.git.webhook_secret"] == ""
    page.post(PAGE, data=fields)
    assert stored(made).source.webhook_secret == secret  # type: ignore[union-attr]
    page.post(PAGE, data={**fields, "source.git.webhook_secret": "another long secret"})
    assert stored(made).source.webhook_secret != secret  # type: ignore[union-attr]


def test_a_job_without_a_source_is_given_one(api: Client, page: Client) -> None:
    make(api)
    fields = form_fields(page.get(f"{PAGE}?source=git").text, PAGE)
    fields["source.git.url"] = "https://github.com/acme/report"
    assert page.post(PAGE, data=fields).status_code == 303
    assert api.get(f"{ACME}/jobs/report").json()["source"]["git"]["url"] == fields["source.git.url"]


def test_without_a_project_the_page_says_how_to_make_one(made: World) -> None:
    assert 'href="/projects"' in visitor(made, Role.ADMIN).get("/jobs/new").text


def test_a_job_is_deleted_by_its_name_only(made: World, api: Client, page: Client) -> None:
    make(api, source={"type": "image", "image": "busybox:1.36"})
    wrong = page.post(f"{PAGE}/delete", data={"confirm": "reports"})
    assert (wrong.status_code, "Type report" in wrong.text) == (409, True)
    run = api.post(f"{ACME}/jobs/report/runs").json()
    going = page.post(f"{PAGE}/delete", data={"confirm": "report"})
    assert (going.status_code, run["name"] in going.text) == (409, True)
    assert stored(made).name == "report"
    api.post(f"/api/v1/runs/{run['id']}/cancel")
    assert page.post(f"{PAGE}/delete", data={"confirm": "report"}).headers["location"] == "/"
    with pytest.raises(NotFound):
        stored(made)
    with made.db.read() as tx:
        assert runs.with_id(tx, run["id"]).job == "report"


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/delete"])
def test_only_operators_from_our_own_pages_change_anything(made: World, api: Client, path: str) -> None:
    make(api)
    assert visitor(made, Role.VIEWER).post(path, data={"confirm": "report"}).status_code == 403
    operator = visitor(made, Role.OPERATOR)
    foreign = operator.post(path, data={"confirm": "report"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    assert visitor(made, Role.VIEWER).get(PAGE).status_code == 403
    assert stored(made).name == "report"
