"""What an earlier release answered and stored, of jobs and what is made of them; tests compare with it.

`tests/fixtures/jobs/before_versions.json` has what the release before stored definitions had a version answered to
`REQUESTS`, byte for byte, the rows it had stored then, and its answers to `READ` once `OLDER` had made some of the rows
what still earlier releases had written.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.store.database import Database
from tests.support.api import Caller, build_succeeds

FILE = Path(__file__).parents[1] / "fixtures/jobs/before_versions.json"
TABLES = (
    "project",
    "credential",
    "source",
    "secret_group",
    "job",
    "secret_group_job",
    "build",
    "build_source",
)
LATER = ("run", "flow")
JOBS = "/projects/acme/jobs"
GIT = {"url": "https://github.com/acme/report", "webhook_secret": "a long random text"}
BUILD = {
    "mode": "dockerfile",
    "root_directory": "/app",
    "dockerfile": "/app/Dockerfile",
    "target": "prod",
    "run_command": "python main.py",
    "time_limit_seconds": 600,
    "paths": ["docs/", "!docs/api"],
    "paths_mode": "allow",
    "commit_flags": ["[skip]"],
}
ENV = {
    "PLAIN": "daily",
    "EMPTY": "",
    "BUILT": {"value": "for builds", "scope": "build"},
    "BOTH": {"value": "for both", "scope": "both"},
    "TOKEN": {"value": "a token of some length", "secret": True},
    "SHORT": {"value": "abc", "secret": True, "scope": "both"},
}
CHECKS = [
    {"type": "startup", "protocol": "http", "path": "/healthz", "port": 8080, "period_seconds": 20},
    {"type": "liveness", "protocol": "cmd", "cmd": ["test", "-e", "/ready"], "success_threshold": 2},
]
FULL = {
    "name": "full",
    "display_name": "All of it",
    "source": {"type": "git", "git": {**GIT, "branch": "next", "submodules": True}, "build": BUILD},
    "builds_in_flight": "latest",
    "run_on_image_change": "cd-promote",
    "kind": "cron",
    "schedule": {
        "cron": "*/5 * * * *",
        "time_zone": "Europe/Berlin",
        "concurrency_policy": "replace",
        "starting_deadline_seconds": 30,
    },
    "command": ["python", "-m", "report", "two words"],
    "entrypoint": "tini --",
    "shell": True,
    "env": ENV,
    "plan": "large",
    "instances": 3,
    "retry_limit": 4,
    "retry_backoff": "fixed",
    "time_limit_seconds": 900,
    "grace_period_seconds": 5,
    "health_checks": CHECKS,
}
OVERRIDES = {
    "env": {"PLAIN": None, "TOKEN": "another token", "DAY": "1"},
    "command": "echo $DAY",
    "shell": True,
    "plan": "small",
    "time_limit_seconds": None,
    "confirm_paused": True,
}
IN_FLOW = {"env": {"TOKEN": "of the flow", "OLD": None}, "process": "worker", "retry_limit": 0}
RUN_NODE = {"name": "a", "type": "run", "job": "full", "overrides": IN_FLOW}
EDIT = {"name": "full", "retry_limit": 1, "env": {"EMPTY": None}}
Request = tuple[str, str, dict[str, Any] | None]
REQUESTS: tuple[Request, ...] = (
    ("POST", JOBS, FULL),
    ("POST", JOBS, {"name": "least"}),
    ("POST", JOBS, {"name": "plain", "source": {"type": "git", "git": GIT}, "process": "web"}),
    ("POST", "/projects/acme/build-services", {"name": "images", "git": {**GIT, "lfs": True}, "build": BUILD}),
    (
        "POST",
        "/projects/acme/credentials",
        {"name": "hub", "kind": "registry", "host": "docker.io", "username": "acme", "secret": "a secret"},
    ),
    (
        "POST",
        JOBS,
        {
            "name": "shared",
            "source": {"type": "build_service", "build_service": "images"},
            "kind": "cron",
            "schedule": {"cron": "@daily", "active": False},
            "health_checks": [{"type": "liveness", "protocol": "tcp", "port": 80, "cmd": None}],
        },
    ),
    (
        "POST",
        JOBS,
        {
            "name": "image",
            "source": {"type": "image", "image": "busybox:1.36", "credential": "hub"},
            "command": "sh -c 'sleep 1'",
            "deploy_trigger": "pre-deploy",
            "paused": True,
        },
    ),
    (
        "POST",
        "/projects/acme/secret-groups",
        {
            "name": "mail",
            "priority": 10,
            "env": {"HOST": "mail", "PASSWORD": {"value": "a password", "secret": True, "scope": "both"}},
            "jobs": ["full", "image"],
        },
    ),
    ("PATCH", f"{JOBS}/full", {"env": {"PLAIN": "weekly", "BUILT": None}, "schedule": {"active": False}}),
    ("PATCH", f"{JOBS}/shared", {"health_checks": [], "retry_limit": 2}),
    ("PATCH", "/projects/acme/build-services/images", {"build": {"paths": []}}),
    ("POST", f"{JOBS}/full/builds", {"sha": "a" * 40}),
    ("POST", f"{JOBS}/image/runs?dry_run=1", OVERRIDES),
    ("POST", f"{JOBS}/image/runs", OVERRIDES),
    ("POST", "/runs/1/rerun", {"config": "same", "confirm_paused": True}),
    ("POST", "/runs/1/rerun", {"config": "current", "confirm_paused": True}),
    ("POST", "/projects/acme/flows", {"name": "flow", "nodes": [RUN_NODE]}),
    ("POST", f"{JOBS}/full/pause", None),
    ("POST", f"{JOBS}/full/resume", {"schedule_active": True, "ci_enabled": False}),
    ("POST", "/plan", {"settings": {"project": "acme", "fields": EDIT}}),
)  # fmt: skip
READ = (
    JOBS,
    f"{JOBS}/full",
    "/projects/acme/build-services",
    "/projects/acme/secret-groups",
    "/projects/acme/flows",
    "/runs",
    "/builds/1",
)
OLDER = (
    "UPDATE job SET definition = json_remove(definition, '$.builds_in_flight') WHERE name IN ('least', 'full')",
    "UPDATE source SET build = json_remove(build, '$.submodules', '$.lfs') WHERE name IS NULL",
)  # fmt: skip


_SINCE = re.compile(
    r',"(?:non_root|read_only|network|tags|pull_requests|from_file|config_file|public_key|host_keys|host_keys_from'
    r'|api_url|forge)":(?:false|"default"|null|\[\]|"nobody"|"")'
)  # fields that came since, as they begin


def answers(caller: Caller) -> list[str]:
    """What is answered to the requests, one after the other, and then to `READ`."""
    said = []
    for method, path, body in REQUESTS:
        answer = caller.request(method, path, json={} if body is None else body)
        said.append(f"{answer.status_code} {_SINCE.sub('', answer.text)}")
        if path.endswith("/full/builds"):
            build_succeeds(caller.context)
    return said + reads(caller)


def reads(caller: Caller) -> list[str]:
    return [_SINCE.sub("", caller.get(path).text) for path in READ]


def rows(db: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables as SQLite has them."""
    with db._engine.connect() as connection:
        return {
            table: [dict(row._mapping) for row in connection.execute(sa.text(f"SELECT * FROM {table}"))]
            for table in (*TABLES, *LATER)
        }


def put(db: Database, stored: dict[str, list[dict[str, Any]]]) -> None:
    """The rows as they were, into a database that has none."""
    with db._engine.begin() as connection:
        for table in (*TABLES, *LATER):
            for row in stored[table]:
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def make_older(db: Database) -> None:
    with db._engine.begin() as connection:
        for statement in OLDER:
            connection.exec_driver_sql(statement)


def recorded() -> dict[str, Any]:
    return json.loads(FILE.read_text())  # type: ignore[no-any-return]
