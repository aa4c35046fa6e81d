"""Errors of every kind are problems: a status, a sentence, and nothing half done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.commands.sessions import Client, open_session
from app.commands.tokens import digest
from app.store.database import Database, StoreUnavailable
from app.web.principal import COOKIE
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.server_context import ADMIN_TOKEN


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"].endswith(".")
    return str(body["detail"])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"5",
        b"\xff\xfe",
        b"{" * 50_000,
        b"[" * 100_000,
        b"{'a': 1}",
        b'{"a": NaN}',
    ],
)
def test_what_is_no_json_object_is_unreadable(admin: Caller, body: bytes) -> None:
    answer = admin.post("/projects", content=body)
    assert answer.status_code in (400, 422), answer.text
    problem(answer, answer.status_code)


def test_numbers_too_big_for_anybody_are_refused(admin: Caller) -> None:
    problem(admin.post("/projects", content=b'{"name": ' + b"9" * 5000 + b"}"), 400)


def test_a_body_over_the_limit_is_refused(admin: Caller) -> None:
    assert problem(admin.post("/projects", content=b" " * (1024 * 1024 + 1)), 413).startswith(
        "The body is over"
    )


def test_who_is_asked_before_the_body_is_looked_at(context: ServerContext) -> None:
    problem(Caller(context, None).post("/projects", content=b"{" * 2_000_000), 401)


def test_unknown_paths_and_methods(admin: Caller) -> None:
    assert problem(admin.get("/nothing"), 404) == "There is nothing at /api/v1/nothing."
    answer = admin.put("/projects")
    assert problem(answer, 405) == "PUT is not for /api/v1/projects: it takes GET, HEAD, POST."
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_head_is_a_get_without_its_body(admin: Caller) -> None:
    answer = admin.head("/projects")
    assert (answer.status_code, answer.content) == (200, b"")


def test_what_is_missing_is_named(admin: Caller) -> None:
    assert problem(admin.get("/projects/nobody"), 404) == "There is no project nobody, or not for this token."
    assert "job nothing" in problem(admin.get("/projects/acme/jobs/nothing"), 404)
    assert "run 7" in problem(admin.get("/runs/7"), 404)


def test_a_name_taken_is_a_conflict(admin: Caller) -> None:
    assert problem(admin.post("/projects", json={"name": "acme"}), 409)


def test_a_project_with_jobs_stays(admin: Caller) -> None:
    admin.made("/projects/acme/jobs", {"name": "report"})
    problem(admin.delete("/projects/acme?confirm=acme"), 409)
    admin.delete("/projects/acme/jobs/report?confirm=report")
    assert admin.delete("/projects/acme?confirm=acme").status_code == 204
    assert admin.got("/projects")["items"] == []


class Away(Database):
    """A database that stopped answering after the caller was identified."""

    def write(self) -> Any:
        raise StoreUnavailable("The database did not answer: disk I/O error.")


def test_a_store_that_does_not_answer_is_503(context: ServerContext, tmp_path: Any) -> None:
    away = Away(f"sqlite:///{tmp_path / 'jobyard.db'}")
    answer = Caller(replace(context, db=away)).post("/projects", json={"name": "acme"})
    assert problem(answer, 503) == "The database did not answer: disk I/O error."
    away.close()


def test_a_fault_of_ours_is_loud_in_the_log_and_quiet_in_the_answer(
    context: ServerContext, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Away):
        def write(self) -> Any:
            raise RuntimeError("wires crossed")

    broken = Broken("sqlite://")
    answer = Caller(replace(context, db=broken)).post("/projects", json={"name": "acme"})
    assert "wires crossed" not in problem(answer, 500)
    assert "wires crossed" in caplog.text
    broken.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://testserver"}, 201),
        # A proxy in front may send another Host than the browser asked for.
        ({"Origin": "https://jobyard.example.com", "Host": "10.0.0.7:8080"}, 201),
        ({"Origin": "https://jobyard.example.com", "Sec-Fetch-Site": "same-origin", "Host": "10.0.0.7"}, 201),
        ({}, 201),
    ],
)
def test_a_browsers_session_counts_for_our_own_pages_only(
    context: ServerContext, headers: dict[str, str], status: int
) -> None:
    browser = Caller(context, None)
    with context.db.write() as tx:
        opened_with, at = digest(ADMIN_TOKEN), context.clock.now()
        session = open_session(tx, at, context.desk.limits, Client("192.0.2.1"), opened_with=opened_with)
    browser.cookies.set(COOKIE, session)
    answer = browser.post("/projects", json={"name": "acme"}, headers=headers)
    assert answer.status_code == status, answer.text
    assert browser.get("/projects", headers=headers).status_code == 200
