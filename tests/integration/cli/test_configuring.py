"""Files of configuration without a server: checked with every fault, described for editors, imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.cli.imports.app_platform import import_spec
from app.cli.imports.drafts import Draft
from app.web.declared.repository_file import check
from app.web.declared.schemas import apply_schema, repository_file_schema
from tests.support.api import Caller
from tests.support.cli import Cli
from tests.support.client import Client

GOOD: dict[str, Any] = {
    "build": {"mode": "dockerfile", "paths": ["docs/"]},
    "jobs": [
        {
            "name": "nightly",
            "kind": "cron",
            "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
            "command": ["python", "report.py"],
            "env": {"MODE": "daily", "TOKEN": {"from": "vault", "path": "secret/data/a", "key": "token"}},
            "secret_groups": ["mail"],
            "health_checks": [{"type": "liveness", "protocol": "cmd", "cmd": "true"}],
        }
    ],
    "app": {"name": "shop"},
    "stage": {"pipeline": "main", "stage": "staging"},
}
BAD = """jobs:
- name: nightly
  schedule: {cron: "61 * * * *"}
  retry_limt: 2
- name: nightly
  source: {type: none}
"""
FAULTS = [
    "jobyard.yaml:3: jobs.0.schedule.cron: The minute '61' is out of range; it goes from 0 to 59.",
    "jobyard.yaml:4: There is no field jobs.0.retry_limt: did you mean retry_limit?",
    "jobyard.yaml:6: jobs.1.source is this repository: leave it out.",
]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command where there is no server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBYARD_URL", "http://127.0.0.1:1")
    return Cli(capsys)


def test_a_repository_s_file_is_checked_with_every_fault_and_its_line(alone: Cli) -> None:
    missing = alone("config", "validate")
    assert (missing.status, missing.err) == (
        1,
        "jobyard: jobyard.yaml can't be read: No such file or directory.\n",
    )
    Path("jobyard.yaml").write_text(BAD)
    done = alone("config", "validate")
    assert (done.status, done.out.splitlines()) == (1, FAULTS)
    items = json.loads(alone("config", "validate", "--json").out)["items"]
    assert [each["line"] for each in items] == [3, 4, 6]
    Path("jobyard.yaml").write_text(json.dumps(GOOD))
    assert alone("config", "validate").out == "jobyard.yaml: nothing is wrong.\n"
    Path("jobyard.yaml").write_text("jobs: [")
    assert alone("config", "validate").out.startswith("jobyard.yaml: jobyard.yaml is not YAML: ")


def test_a_file_for_apply_is_checked_the_same_way(alone: Cli) -> None:
    Path("acme.yaml").write_text(
        "project: acme\ncredentials:\n- {name: github, kind: git, host: github.com, secret: null}\n"
        "jobs:\n- name: report\n  env: {OLD: null}\n  colour: red\napps:\n- name: shop\n"
    )
    done = alone("config", "validate", "--apply", "acme.yaml")
    assert (done.status, done.out.splitlines()) == (
        1,
        [
            "acme.yaml:7: job acme/report: There is no field colour.",
            "acme.yaml:9: app acme/shop: jobs is missing.",
        ],
    )


def test_schemas_are_printed_and_served_to_anybody(alone: Cli, admin: Caller) -> None:
    from contextlib import nullcontext

    from app.web.app import create_app

    anybody = Client(create_app(admin.context, nullcontext))
    for option, path, schema in (
        ((), "/schemas/jobyard.json", repository_file_schema()),
        (("--apply",), "/schemas/apply.json", apply_schema()),
    ):
        Draft202012Validator.check_schema(schema)
        assert json.loads(alone("config", "schema", *option).out) == schema
        assert anybody.get(path).json() == schema


def test_the_schema_takes_what_is_good_and_refuses_what_is_wrong() -> None:
    validator = Draft202012Validator(repository_file_schema())
    assert list(validator.iter_errors(GOOD)) == []
    assert list(validator.iter_errors({"jobs": [{"name": "a", "colour": 1}]})) != []
    assert list(validator.iter_errors({"jobs": [{"name": "a", "retry_limit": -1}]})) != []
    applied = Draft202012Validator(apply_schema())
    for good in (
        {"project": "acme", "settings": {"public": True}, "jobs": [{"name": "a", "retry_limit": 2}]},
        {"project": "acme", "credentials": [{"name": "a", "secret": None}], "apps": []},
        {"name": "report", "project": "acme"},
    ):
        assert list(applied.iter_errors(good)) == []
    assert list(applied.iter_errors({"project": "acme", "jbos": []})) != []


FIELDS = {
    "retry_limit": st.integers(-2, 3),
    "kind": st.sampled_from(["manual", "cron", "never"]),
    "command": st.sampled_from(["true", ["true"], [], 7]),
    "env": st.dictionaries(
        st.sampled_from(["A", "B"]), st.sampled_from(["x", {"value": "y", "scope": "build"}, 3])
    ),
    "deploy_trigger": st.sampled_from(["pre-deploy", "sometimes", None]),
    "schedule": st.sampled_from([{"cron": "@daily"}, {"cron": "@daily", "active": 1}, None]),
    "colour": st.just("red"),
}


@given(st.lists(st.fixed_dictionaries({"name": st.just("a")}, optional=FIELDS), min_size=1, max_size=1))
def test_what_the_schema_refuses_the_form_refuses_too(jobs: list[Any]) -> None:
    """Editors tell of nothing that would be taken; rules that no schema can say are the form's alone."""
    is_refused = list(Draft202012Validator(repository_file_schema()).iter_errors({"jobs": jobs})) != []
    assert not is_refused or check(json.dumps({"jobs": jobs}), "f") != []


def test_what_is_imported_is_taken_by_a_server(cli: Cli, admin: Caller) -> None:
    spec = {
        "name": "shop",
        "envs": [{"key": "LEVEL", "value": "info"}],
        "jobs": [
            {
                "name": "nightly",
                "kind": "SCHEDULED",
                "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
                "github": {"repo": "acme/shop", "branch": "main", "deploy_on_push": True},
            },
            {
                "name": "migrate",
                "kind": "PRE_DEPLOY",
                "image": {"registry_type": "GHCR", "repository": "acme/m"},
            },
        ],
        "workers": [{"name": "queue"}],
    }
    Path("app.json").write_text(json.dumps(spec))
    Path("jobs.yaml").write_text(cli("import", "do", "app.json").out)
    assert "# workers.queue: has no counterpart" in Path("jobs.yaml").read_text()
    rehearsed = cli("apply", "jobs.yaml", "--dry-run", "--json").json
    assert {each["what"] for each in rehearsed["items"]} == {"created"}
    assert len(rehearsed["items"]) == 5
    assert cli("apply", "jobs.yaml").status == 0
    assert admin.got("/projects/shop/jobs/nightly")["schedule"]["time_zone"] == "Europe/Berlin"
    job = {
        "name": "Nightly Report",
        "settings": {"backoffLimit": 2, "cron": {"schedule": "@daily"}},
        "mood": 1,
    }
    Path("job.json").write_text(json.dumps(job))
    text = cli("import", "northflank", "job.json", "--project", "shop").out
    assert "# job 1.mood: has no counterpart: 1\n" in text
    Path("jobs.yaml").write_text(text)
    assert cli("apply", "jobs.yaml").out == "job shop/nightly-report created\n"
    Path("job.json").write_text("7")
    assert cli("import", "do", "job.json").err == "jobyard: job.json must hold one object.\n"
    Path("site.yaml").write_text("name: site\nservices: [{name: web}]\n")
    site = cli("import", "do", "site.yaml")
    assert site.out.startswith("# services.web: has no counterpart")
    assert site.err == "jobyard: There is no job in site.yaml: the comments say what became of the rest.\n"


def test_an_empty_spec_becomes_an_empty_project() -> None:
    draft = Draft()
    assert import_spec({}, draft) == "app"
    assert draft.written("app", makes_it=True) == "project: app\nsettings: {}\n"
