"""API tokens: what each scope allows, names, ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.store import tokens
from app.store.database import Database
from app.store.migrate import SCRIPTS
from tests.support.api import Caller

JOB = "/projects/acme/jobs/once"


@pytest.fixture
def job(admin: Caller) -> Caller:
    admin.made("/projects/acme/jobs", {"name": "once", "source": {"type": "image", "image": "busybox"}})
    return admin


def holder(admin: Caller, *scopes: str) -> Caller:
    made = admin.made("/tokens", {"name": "-".join(scopes), "scopes": list(scopes)})
    return Caller(admin.context, made["token"])


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["read"], {"read"}),
        (["run"], {"run"}),
        (["deploy"], {"deploy"}),
        (["read", "run"], {"read", "run"}),
        (["admin"], {"read", "run", "deploy", "change", "people"}),
    ],
)
def test_each_scope_allows_what_it_says_and_no_more(
    job: Caller, scopes: list[str], allowed: set[str]
) -> None:
    calls: dict[str, Callable[[Caller], int]] = {
        "read": lambda caller: caller.get(JOB).status_code,
        "run": lambda caller: caller.post(f"{JOB}/runs", json={}).status_code,
        "deploy": lambda caller: caller.post(f"{JOB}/deploy", json={"image": "busybox:2"}).status_code,
        "change": lambda caller: caller.patch(JOB, json={"plan": "micro"}).status_code,
        "people": lambda caller: caller.get("/users").status_code,
    }
    caller = holder(job, *scopes)
    assert {what for what, call in calls.items() if call(caller) != 403} == allowed


def test_a_role_stands_for_its_scopes_and_is_answered_where_one_has_them(admin: Caller) -> None:
    for given, scopes, role in (
        ({}, ["read"], "viewer"),
        ({"role": "operator"}, ["read", "run", "deploy"], "operator"),
        ({"scopes": ["deploy", "read", "run"]}, ["read", "run", "deploy"], "operator"),
        ({"scopes": ["read", "run"]}, ["read", "run"], None),
        ({"role": "admin"}, ["admin"], "admin"),
    ):
        made = admin.made("/tokens", {"name": f"n{len(admin.got('/tokens')['items'])}", **given})
        assert (made["scopes"], made["role"]) == (scopes, role)
    both = admin.post("/tokens", json={"name": "x", "role": "viewer", "scopes": ["run"]})
    assert both.json()["errors"] == [
        {"field": "role", "message": "role can't be given together with scopes."}
    ]
    none = admin.post("/tokens", json={"name": "x", "scopes": []})
    assert none.json()["detail"] == "scopes must name at least one of read, run, deploy and admin."
    refused = holder(admin, "read", "run").post("/projects", json={"name": "x"})
    assert refused.json()["detail"] == "This needs the role admin; read-run has read and run."


def test_a_token_ends_in_a_year_unless_it_is_said_otherwise(admin: Caller) -> None:
    assert admin.made("/tokens", {"name": "a"})["expires_at"] == "2027-01-31T12:00:00Z"
    assert admin.made("/tokens", {"name": "b", "expires_at": None})["expires_at"] is None


def test_names_are_their_own(admin: Caller) -> None:
    admin.made("/tokens", {"name": "ci"})
    again = admin.post("/tokens", json={"name": "ci"})
    assert (again.status_code, again.json()["detail"]) == (409, "There is a token named ci already.")


def test_tokens_of_before_keep_their_rights_and_get_names_of_their_own(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'jobyard.db'}")
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with db._engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.upgrade(config, "0015")
            for number, (name, role) in enumerate(
                (("op", "operator"), ("op-2", "viewer"), ("op", "admin"), ("op", "viewer"))
            ):
                connection.execute(
                    sa.text(
                        "INSERT INTO token (name, hash, role, created_at)"
                        " VALUES (:name, :hash, :role, '2026-01-31 12:00:00.000000')"
                    ),
                    {"name": name, "hash": f"h{number}", "role": role},
                )
    db.migrate()
    with db.read() as tx:
        found = [(each.name, each.grant.label) for each in reversed(tokens.page(tx, 10))]
    assert found == [("op", "operator"), ("op-2", "viewer"), ("op-3", "admin"), ("op-4", "viewer")]
    db.close()
