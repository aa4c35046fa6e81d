"""Secrets that are kept elsewhere, as the API takes and shows them: references, never values, as far as is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.external_secrets import (
    FileSecret,
    SecretRules,
    VaultSecret,
    read_allowed_paths,
    read_allowed_variables,
)
from app.store import jobs, runs
from tests.support.api import Caller
from tests.support.installation import Installation
from tests.support.kept_secrets import allow
from tests.support.server_context import server_context

JOBS = "/projects/acme/jobs"
FILE = {"from": "file", "path": "db/password"}
ENV = {"from": "env", "name": "ACME_KEY", "scope": "run"}
VAULT = {"from": "vault", "path": "secret/data/acme/mail", "key": "password"}
ALLOWED = SecretRules(
    has_files=True,
    variables=read_allowed_variables("acme:ACME_*"),
    has_vault=True,
    paths=read_allowed_paths("secret/data/{project}/*"),
)
IMAGE = {"type": "image", "image": "busybox:1.36"}


@pytest.fixture
def acme(admin: Caller) -> Caller:
    allow(admin.context.db, ALLOWED)
    return admin


def refused(caller: Caller, env: Any) -> list[tuple[str, str]]:
    answer = caller.post(JOBS, json={"name": "report", "source": IMAGE, "env": env})
    assert answer.status_code == 422, answer.text
    return [(each["field"], each["message"]) for each in answer.json()["errors"]]


def whole(reference: dict[str, str]) -> dict[str, Any]:
    return {**reference, "secret": True, "scope": "run"}


def test_a_job_shows_its_references_as_they_can_be_given_again(acme: Caller) -> None:
    env = {"A": FILE, "B": ENV, "C": VAULT, "PLAIN": "x"}
    made = acme.made(JOBS, {"name": "report", "source": IMAGE, "env": env})
    assert made["env"] == {"A": whole(FILE), "B": whole(ENV), "C": whole(VAULT), "PLAIN": "x"}
    again = acme.patch(f"{JOBS}/report", json={"env": made["env"]})
    assert again.json()["env"] == made["env"]
    with acme.context.db.read() as tx:
        stored = jobs.named(tx, "acme", "report").env
    assert (stored["A"].reference, stored["A"].value) == (FileSecret("db/password"), "")
    assert stored["C"].reference == VaultSecret("secret/data/acme/mail", "password")


def test_a_reference_takes_the_place_of_a_value_and_the_other_way_round(acme: Caller) -> None:
    secret = {"value": "the stored secret", "secret": True, "scope": "both"}
    git = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
    acme.made(
        JOBS, {"name": "report", "source": git, "env": {"A": secret, "B": {"value": "x", "scope": "build"}}}
    )

    def patched(env: Any) -> Any:
        answer = acme.patch(f"{JOBS}/report", json={"env": env})
        assert answer.status_code == 200, answer.text
        return answer.json()["env"]

    shown = patched({"A": FILE, "B": FILE})
    assert shown["A"] == {**FILE, "secret": True, "scope": "both"}
    assert shown["B"] == {**FILE, "secret": True, "scope": "build"}
    assert patched({"A": {"path": "db/other"}})["A"]["path"] == "db/other"
    assert patched({"A": VAULT})["A"] == {**VAULT, "secret": True, "scope": "both"}
    assert patched({"A": "a new text"})["A"] == {"value": None, "secret": True, "scope": "both"}
    answer = acme.patch(f"{JOBS}/report", json={"env": {"B": {"from": "value"}}})
    assert answer.json()["errors"] == [
        {"field": "env.B.value", "message": "env.B.value is missing: give the variable's text."}
    ]


@pytest.mark.parametrize(
    ("entry", "field", "said"),
    [
        ({"from": "file"}, "path", "is missing: a variable from file needs it."),
        ({"from": "file", "path": "../b"}, "path", "must be a path below the project's directory of secrets"),
        ({"from": "env", "name": "A-B"}, "name", "must"),
        ({"from": "env", "name": "A", "key": "b"}, "key", "is not for a variable from env: leave it out."),
        (
            {"from": "vault", "path": "/a", "key": "k"},
            "path",
            "must be a path of Vault's API without a / at either end",
        ),
        ({"from": "vault", "path": "a/b"}, "key", "is missing: a variable from vault needs it."),
        ({"from": "aws", "path": "a"}, "from", "must be 'value', 'file', 'env' or 'vault'"),
        (
            {"from": "file", "path": "a", "value": "b"},
            "value",
            "is not for a variable from file: leave it out.",
        ),
        ({"from": "file", "path": "a", "secret": False}, "secret", "must be"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(acme: Caller, entry: Any, field: str, said: str) -> None:
    ((at, message),) = refused(acme, {"A": entry})
    assert at == f"env.A.{field}"
    assert said in message


def test_what_the_operator_does_not_allow_is_refused_when_it_is_saved(admin: Caller) -> None:
    assert refused(admin, {"A": FILE}) == [
        (
            "env.A.from",
            (
                "env.A.from can't be file: this server reads no files; "
                "have its operator set JOBYARD_SECRETS_DIR, or give the value."
            ),
        )
    ]
    allow(admin.context.db, ALLOWED)
    assert refused(admin, {"A": {"from": "env", "name": "HOME"}}) == [
        (
            "env.A.from",
            (
                "env.A.from can't be env: JOBYARD_SECRETS_ENV lets project acme read no variable HOME; "
                "name another, or have the server's operator allow it."
            ),
        )
    ]
    theirs = {"from": "vault", "path": "secret/data/other/mail", "key": "password"}
    ((field, message),) = refused_group(admin, {"A": theirs})
    assert field == "env.A.from"
    assert "JOBYARD_VAULT_PATHS lets project acme read nothing at secret/data/other/mail" in message


def refused_group(caller: Caller, env: Any) -> list[tuple[str, str]]:
    answer = caller.post("/projects/acme/secret-groups", json={"name": "mail", "env": env})
    assert answer.status_code == 422, answer.text
    return [(each["field"], each["message"]) for each in answer.json()["errors"]]


def test_what_is_stored_can_be_kept_where_it_is_not_allowed_any_more(acme: Caller) -> None:
    acme.made(JOBS, {"name": "report", "source": IMAGE, "env": {"A": FILE}})
    allow(acme.context.db, SecretRules())
    answer = acme.patch(f"{JOBS}/report", json={"retry_limit": 2})
    assert answer.status_code == 200, answer.text


def test_a_single_run_can_have_no_other_than_its_job(acme: Caller) -> None:
    """Else whoever may run jobs could have all that the project may read printed."""
    acme.made(JOBS, {"name": "report", "source": IMAGE, "env": {"A": FILE}})
    for query in ("", "?dry_run=1"):
        answer = acme.post(f"{JOBS}/report/runs{query}", json={"env": {"B": FILE}})
        assert answer.json()["errors"] == [
            {
                "field": "env.B.from",
                "message": "env.B.from is not for a single run: give the reference to the job, or to a secret group.",
            }
        ]


def test_a_run_shows_where_it_is_from_and_keeps_no_value(acme: Caller) -> None:
    group = {"name": "mail", "env": {"SMTP": VAULT}, "jobs": ["report"]}
    acme.made(JOBS, {"name": "report", "source": IMAGE, "env": {"A": FILE}})
    assert acme.made("/projects/acme/secret-groups", group)["env"] == {"SMTP": whole(VAULT)}
    rehearsed = acme.made(f"{JOBS}/report/runs?dry_run=1", {"env": {"OWN": "x"}})
    assert rehearsed["effective"]["env"] == {"A": whole(FILE), "SMTP": whole(VAULT), "OWN": "x"}
    assert {name: each for name, each in rehearsed["origins"].items() if name.startswith("env.")} == {
        "env.A": "job",
        "env.SMTP": "group mail",
        "env.OWN": "override",
    }
    run = acme.made(f"{JOBS}/report/runs", {"env": {"SMTP": "for once"}})
    assert run["effective"]["env"]["A"] == whole(FILE)
    assert run["effective"]["env"]["SMTP"] == {"value": None, "secret": True, "scope": "run"}
    with acme.context.db.read() as tx:
        spec = runs.with_id(tx, run["id"]).spec
    assert (spec.env["A"].reference, spec.env["SMTP"].reference) == (FileSecret("db/password"), None)


def test_a_node_of_a_flow_may_have_one(acme: Caller) -> None:
    acme.made(JOBS, {"name": "report", "source": IMAGE})
    node = {"type": "run", "name": "go", "job": "report", "overrides": {"env": {"A": FILE}}}
    made = acme.made("/projects/acme/flows", {"name": "release", "nodes": [node]})
    assert made["nodes"][0]["overrides"]["env"] == {"A": whole(FILE)}
    again = acme.patch("/projects/acme/flows/release", json={"nodes": made["nodes"]})
    assert again.json()["nodes"] == made["nodes"]
    allow(acme.context.db, SecretRules())
    node["overrides"] = {"env": {"B": FILE}}  # type: ignore[dict-item]
    answer = acme.post("/projects/acme/flows", json={"name": "another", "nodes": [node]})
    ((error),) = answer.json()["errors"]
    assert error["field"] == "nodes.0.overrides.env.B.from"


def test_the_audit_log_tells_of_the_reference(acme: Caller) -> None:
    acme.made(
        JOBS, {"name": "report", "source": IMAGE, "env": {"A": {"value": "the secret", "secret": True}}}
    )
    acme.patch(f"{JOBS}/report", json={"env": {"A": FILE}})
    entry = acme.got("/audit")["items"][0]
    assert "db/password" in json.dumps(entry["changes"])
    assert "the secret" not in json.dumps(acme.got("/audit"))


def test_it_is_stored_as_it_was_given_on_both_databases(other_database: Any, tmp_path: Path) -> None:
    name = "stored"
    with Installation(tmp_path / "place", other_database, project=None) as place:
        allow(place.db, ALLOWED)
        caller = Caller(server_context(place))
        caller.made("/projects", {"name": "acme"})
        env = {"A": FILE, "C": VAULT}
        caller.made(JOBS, {"name": name, "source": IMAGE, "env": env})
        caller.made("/projects/acme/secret-groups", {"name": "mail", "env": {"B": ENV}, "jobs": [name]})
        run = caller.made(f"{JOBS}/{name}/runs")
        assert caller.got(f"/runs/{run['id']}")["effective"]["env"] == {
            "B": whole(ENV),
            "A": whole(FILE),
            "C": whole(VAULT),
        }
        assert caller.got(f"{JOBS}/{name}")["env"] == {"A": whole(FILE), "C": whole(VAULT)}


def test_openapi_describes_all_four_kinds(acme: Caller) -> None:
    schemas = acme.got("/openapi.json")["components"]["schemas"]
    env = schemas["JobForm"]["properties"]["env"]["additionalProperties"]["anyOf"]
    kinds = [schemas[each["$ref"].rpartition("/")[2]] for each in env if "$ref" in each]
    assert [each["properties"]["from"]["const"] for each in kinds] == ["value", "file", "env", "vault"]
