"""What is kept: shown and asked for by API, page and command line, in the same numbers."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from app.domain.retention import Kind, Limits
from app.store import jobs
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving
from tests.support.past import Writer
from tests.support.server_context import ADMIN_TOKEN
from tests.support.stored import add_job


@pytest.fixture
def old(context: ServerContext) -> ServerContext:
    """Two old runs of which one is the last success, and one old delivery."""
    job = add_job(context.db, "report", "acme")
    with context.db.write() as tx:
        writer = Writer(tx)
        first, last = writer.run(job, 200), writer.run(job, 190)
        writer.run(job, 2, "failed")
        writer.delivery(job, 100)
    for run in (first, last):
        path = context.log_storage.attempt_path(run, 1)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 9000)
    return context


def portion(answer: dict[str, object], kind: Kind) -> dict[str, object]:
    (found,) = [each for each in answer["kinds"] if each["kind"] == kind]  # type: ignore[attr-defined]
    return dict(found)


def test_a_dry_run_says_what_would_go_and_removes_nothing(old: ServerContext) -> None:
    answer = Caller(old).made("/prune?dry_run=1")
    assert answer["dry_run"] is True
    assert (answer["days"], answer["runs"], answer["is_whole"], answer["going"]) == (90, 1000, True, 2)
    runs = portion(answer, Kind.RUNS)
    assert runs["parts"] == [{"project": "acme", "name": "report", "going": 1, "bytes": runs["bytes"]}]
    assert int(str(runs["bytes"])) >= 9000
    assert runs["within_limits"] == 1
    assert runs["staying"] == [
        {"why": "last_success", "sentence": "It is the last that succeeded.", "count": 1}
    ]
    assert portion(answer, Kind.DELIVERIES)["bytes"] == 100
    assert not old.retention.asked.is_set()
    assert Caller(old).made("/prune?dry_run=1") == answer


def test_without_it_the_loop_is_asked(old: ServerContext) -> None:
    answer = Caller(old).post("/prune")
    assert answer.status_code == 202
    assert answer.json()["going"] == 2
    assert old.retention.asked.is_set()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_administrator_may(old: ServerContext, role: str) -> None:
    other = Caller(old).with_token(role)
    assert other.post("/prune?dry_run=1").status_code == 403


def test_an_administrator_of_one_project_may_not(old: ServerContext) -> None:
    other = Caller(old).with_token("admin", "acme")
    assert other.post("/prune?dry_run=1").status_code == 403


def visitor(context: ServerContext) -> TestClient:
    headers = {"Sec-Fetch-Site": "same-origin", "Authorization": f"Bearer {ADMIN_TOKEN}"}
    return TestClient(create_app(context, nullcontext), follow_redirects=False, headers=headers)


def test_the_page_shows_it_and_its_button_asks_the_loop(old: ServerContext) -> None:
    client = visitor(old)
    page = client.get("/prune").text
    assert "acme/report: 1 (12.0 KiB)" in page
    assert "2 rows, 12.1 KiB of files" in page
    assert "(JOBYARD_RETENTION_DAYS). Of each job the newest 1,000 runs are kept" in " ".join(page.split())
    assert "1 beyond them: It is the last that succeeded." in page
    assert client.get("/settings").text.count('href="/prune"') == 1
    answer = client.post("/prune")
    assert (answer.status_code, answer.headers["location"]) == (303, "/prune?begun=1")
    assert old.retention.asked.is_set()
    assert "It is removed little by little" in client.get("/prune?begun=1").text


def test_the_page_of_an_installation_that_keeps_everything(old: ServerContext) -> None:
    client = visitor(replace(old, retention=replace(old.retention, limits=Limits(0, 0))))
    page = client.get("/prune").text
    assert "Everything is kept: JOBYARD_RETENTION_DAYS and JOBYARD_RETENTION_RUNS are 0." in page
    assert "Remove it now" not in page


def test_the_command_shows_the_same(
    old: ServerContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(capsys)
    with serving(old) as port:
        point_at(monkeypatch, port)
        said = cli("prune", "--dry-run")
        shown = cli("prune", "--dry-run", "--json").json
        assert not old.retention.asked.is_set()
        begun = cli("prune")
    assert [line.split()[:3] for line in said.out.splitlines()[1:]] == [
        ["runs", "acme/report", "1"],
        ["deliveries", "1", "100"],
    ]
    assert "1 runs beyond the limits stay: It is the last that succeeded." in said.err
    assert shown == Caller(old).made("/prune?dry_run=1")
    assert "The server has begun to remove it." in begun.err
    assert old.retention.asked.is_set()


def test_what_a_deleted_job_left_has_no_name_any_more(old: ServerContext) -> None:
    with old.db.write() as tx:
        job = jobs.named(tx, "acme", "report")
        jobs.delete(tx, job.id, old.clock.now())
    assert portion(Caller(old).made("/prune?dry_run=1"), Kind.RUNS)["going"] == 2
