"""Secrets that are kept elsewhere on pages: typed and saved as what they are, and shown as where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.external_secrets import (
    EnvironmentSecret,
    FileSecret,
    SecretRules,
    VaultSecret,
    read_allowed_paths,
    read_allowed_variables,
)
from app.domain.job.variables import EnvValue
from app.store import jobs
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.kept_secrets import allow
from tests.support.seed import World, world
from tests.support.server_context import ADMIN_TOKEN
from tests.support.visiting import visitor

JOB = "/projects/acme/jobs/report"
PAGE = f"{JOB}/settings"
ENV = {
    "FILE": {"from": "file", "path": "db/password"},
    "KEY": {"from": "env", "name": "ACME_KEY"},
    "MAIL": {"from": "vault", "path": "secret/data/acme/mail", "key": "pass#word"},
    "PLAIN": "in the clear",
    "SEALED": {"value": "never shown", "secret": True},
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        rules = SecretRules(
            True, read_allowed_variables("ACME_*"), True, read_allowed_paths("secret/data/{project}/*")
        )
        allow(each.db, rules)
        api = Client(each.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        api.post("/api/v1/projects", json={"name": "acme"})
        source = {"type": "image", "image": "busybox:1.36"}
        body = {"name": "report", "source": source, "env": ENV}
        assert api.post("/api/v1/projects/acme/jobs", json=body).status_code == 201
        group = {"name": "mail", "env": {"SMTP": ENV["MAIL"]}, "jobs": ["report"]}
        assert api.post("/api/v1/projects/acme/secret-groups", json=group).status_code == 201
        yield each


@pytest.fixture
def page(made: World) -> Client:
    return visitor(made)


def env_now(made: World) -> dict[str, EnvValue]:
    with made.db.read() as tx:
        return dict(jobs.named(tx, "acme", "report").env)


def row(fields: dict[str, str], name: str) -> str:
    return next(each for each, text in fields.items() if text == name and each.endswith(".name"))[:-5]


def saved(page: Client, fields: dict[str, str], status: int = 303) -> Any:
    answer = page.post(PAGE, data=fields, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer


def test_saving_what_is_shown_changes_nothing(made: World, page: Client) -> None:
    before = env_now(made)
    fields = form_fields(page.get(PAGE).text, PAGE)
    assert fields[f"{row(fields, 'MAIL')}.value"] == "secret/data/acme/mail#pass#word"
    assert fields[f"{row(fields, 'MAIL')}.from"] == "vault"
    saved(page, fields)
    assert env_now(made) == before


def test_a_row_becomes_whatever_is_chosen(made: World, page: Client) -> None:
    fields = form_fields(page.get(PAGE).text, PAGE)
    for name, origin, text in (
        ("PLAIN", "file", "_shared/smtp"),
        ("SEALED", "env", "ACME_OTHER"),
        ("FILE", "vault", "secret/data/acme/db#password"),
        ("KEY", "value", "typed here"),
    ):
        at = row(fields, name)
        fields[f"{at}.from"], fields[f"{at}.value"] = origin, text
    saved(page, fields)
    now = env_now(made)
    assert {name: now[name].reference for name in ("PLAIN", "SEALED", "FILE", "KEY")} == {
        "PLAIN": FileSecret("_shared/smtp"),
        "SEALED": EnvironmentSecret("ACME_OTHER"),
        "FILE": VaultSecret("secret/data/acme/db", "password"),
        "KEY": None,
    }
    assert (now["KEY"].secret, "typed here" in now["KEY"].value) == (True, False)


@pytest.mark.parametrize(
    ("origin", "text", "said"),
    [
        ("file", "../../etc/passwd", "must be a path below the project's directory of secrets"),
        ("env", "HOME", "JOBYARD_SECRETS_ENV lets project acme read no variable HOME"),
        ("vault", "secret/data/acme/db", "env.FILE.key must"),
        ("value", "", "is missing: give the variable's text"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    made: World, page: Client, origin: str, text: str, said: str
) -> None:
    before = env_now(made)
    fields = form_fields(page.get(PAGE).text, PAGE)
    at = row(fields, "FILE")
    fields[f"{at}.from"], fields[f"{at}.value"] = origin, text
    answer = saved(page, fields, 422).text
    assert said in answer.replace("&#39;", "'")
    again = form_fields(answer, PAGE)
    at = row(again, "FILE")
    assert (again[f"{at}.from"], again[f"{at}.value"]) == (origin, text)
    assert env_now(made) == before


def test_pages_show_where_it_is(made: World, page: Client) -> None:
    for path in (JOB, f"{JOB}/run"):
        text = page.get(path).text
        assert "from file db/password" in text
        assert "from environment variable ACME_KEY" in text
        assert "never shown" not in text
    run = page.post(f"{JOB}/run", data={"env": ""}, headers={"Sec-Fetch-Site": "same-origin"})
    assert run.status_code == 303, run.text
    shown = page.get(run.headers["location"]).text
    assert "from Vault secret/data/acme/mail#pass#word" in shown


def test_a_secret_group_keeps_them_as_well(made: World, page: Client) -> None:
    at = "/projects/acme/secret-groups/mail"
    fields = form_fields(page.get(at).text, at)
    fields[f"{row(fields, 'SMTP')}.value"] = "secret/data/acme/other#key"
    answer = page.post(at, data=fields, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    with made.db.read() as tx:
        shared = jobs.named(tx, "acme", "report").shared_env["SMTP"]
    assert shared.given.reference == VaultSecret("secret/data/acme/other", "key")
