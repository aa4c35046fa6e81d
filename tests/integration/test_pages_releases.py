"""The pages of pipelines, apps, schedules and vitals: what they say, and that their buttons do what they said."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.domain.jobs import Job
from app.domain.pipelines import Component, Stage
from app.store import jobs, pipelines
from app.web.principal import Role
from tests.support.seed import PASSWORD, World, world

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SHA = "a8810fe" + "0" * 33


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        each.clock.held = NOW
        yield each


def visitor(made: World, role: Role = Role.OPERATOR) -> TestClient:
    client = TestClient(made.app(), follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def read(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", answer.text)
    return html.unescape(answer.text)


def job_of(made: World, job: Job) -> Job:
    with made.db.read() as tx:
        return jobs.with_id(tx, job.id)


# pipelines


def two_stages(made: World, **live: object) -> tuple[Job, Job]:
    """`report` of staging has a build, `report-live` of production has nothing."""
    report = made.job("report")
    target = made.job("report-live", repository=None, **live)
    made.build(report, NOW, sha=SHA)
    with made.db.write() as tx:
        pipeline_id = pipelines.create(tx, report.project_id, "main", NOW)
        stages = [
            Stage("staging", (Component("job", report.id, report.name),)),
            Stage("production", (Component("job", target.id, target.name),)),
        ]
        pipelines.set_stages(tx, pipeline_id, stages)
    return report, target


def test_without_pipelines_the_page_shows_how_to_make_one(made: World) -> None:
    page = read(visitor(made), "/pipelines")
    assert "There is no pipeline yet" in page
    assert f"{made.public_url}/api/v1/projects/acme/pipelines" in page


def test_a_promotion_does_what_its_button_says(made: World) -> None:
    _, target = two_stages(made)
    client = visitor(made)
    page = read(client, "/pipelines")
    said = "Promote a8810fe to production: report-live will run."
    assert said in page
    assert "nothing deployed yet" in page
    path = "/projects/acme/pipelines/main/promote"
    stale = client.post(path, data={"component": "report", "said": "Promote b to production."})
    assert stale.status_code == 409
    assert job_of(made, target).deployed is None
    assert client.post(path, data={"component": "report", "said": said}).status_code == 303
    deployed = job_of(made, target).deployed
    assert deployed is not None
    assert deployed.sha == SHA
    page = read(client, "/pipelines")
    assert "a8810fe promoted from report (staging) to report-live (production) by operator-user." in page
    assert "report-live" in read(client, "/")


def test_a_promotion_to_a_paused_job_has_to_be_agreed_to(made: World) -> None:
    _, target = two_stages(made, paused=True)
    client, path = visitor(made), "/projects/acme/pipelines/main/promote"
    said = "Promote a8810fe to production: report-live is paused, so it gets the image and nothing runs."
    assert said in read(client, "/pipelines")
    form = {"component": "report", "said": said}
    assert client.post(path, data=form).status_code == 409
    assert client.post(path, data={**form, "confirm_paused": "1"}).status_code == 303
    assert job_of(made, target).deployed is not None


def test_a_viewer_promotes_nothing(made: World) -> None:
    two_stages(made)
    client = visitor(made, Role.VIEWER)
    assert "Promote a8810fe" not in read(client, "/pipelines")
    assert client.post("/projects/acme/pipelines/main/promote").status_code == 403
