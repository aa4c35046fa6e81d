"""A row that this version can't read breaks no page and no list that it is in; its own page says so."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from app.domain.errors import Unreadable
from app.domain.principals import Role
from app.store import apps, deployments, flows, jobs, projects, runs, schedules, users
from tests.support.demo_releases import furnish_releases
from tests.support.demo_world import Demo
from tests.support.seed import World
from tests.support.visiting import NOW, read, visitor

LATER = {"version": 99}  # a form of a later release
NO_PATHS = {"paths": 5}


def spoil(made: World, table: str, column: str, row_id: int, value: Any = LATER) -> None:
    with made.db.write() as tx:
        change = text(f'UPDATE "{table}" SET "{column}" = :value WHERE id = :id')
        changed = tx.connection().execute(change, {"value": json.dumps(value), "id": row_id})
        assert changed.rowcount == 1


def get(client: TestClient, path: str) -> Any:
    return json.loads(read(client, f"/api/v1{path}"))


def test_a_run_is_left_out_of_lists(made: World, demo: Demo, caplog: pytest.LogCaptureFixture) -> None:
    client = visitor(made)
    with made.db.read() as tx:
        before = [run.id for run in runs.page(tx, limit=101)]
        gone = runs.with_id(tx, demo.finished_run)
    spoil(made, "run", "effective", gone.id)
    caplog.set_level(logging.ERROR)
    expected = [run_id for run_id in before if run_id != gone.id][:100]
    assert [run["id"] for run in get(client, "/runs?limit=100")["items"]] == expected
    for path in ("/", "/projects/acme", f"/projects/acme/jobs/{gone.job}"):
        read(client, path)
    said = f"What is stored of run {gone.id} can't be read by this version of Jobyard; the server's log has more."
    assert json.loads(read(client, f"/api/v1/runs/{gone.id}", 409))["detail"] == said
    assert said.replace("'", "&#39;") in read(client, f"/runs/{gone.name}", 409)
    (named,) = [each.getMessage() for each in caplog.records]
    assert named == (
        f"run {gone.id} can't be read by this version of Jobyard, so lists leave it out (ValueError: "
        "version 99 of this form is of a later release, which alone can read it)"
    )


def test_a_page_is_full_without_what_is_left_out(made: World, demo: Demo) -> None:
    client = visitor(made)
    with made.db.read() as tx:
        newest, second, third, *_ = [run.id for run in runs.page(tx, limit=99)]
    spoil(made, "run", "effective", newest)
    spoil(made, "run", "effective", second)
    page = get(client, "/runs?limit=1")
    assert [run["id"] for run in page["items"]] == [third]
    assert page["next"] == third


def test_a_job_is_left_out_of_lists(made: World, demo: Demo) -> None:
    client = visitor(made)
    spoil(made, "job", "definition", demo.job.id)
    spoil(made, "job", "schedule", demo.job.id)
    listed = [job["name"] for job in get(client, "/projects/acme/jobs?limit=100")["items"]]
    assert listed
    assert demo.job.name not in listed
    for path in ("/", "/projects", "/projects/acme", "/deliveries", "/search?q=e", "/rehearse"):
        read(client, path)
    said = f"What is stored of job {demo.job.id} can&#39;t be read by this version"
    assert said in read(client, f"/projects/acme/jobs/{demo.job.name}", 409)
    with made.db.write() as tx:
        ahead = [job.id for each in schedules.ahead(tx, NOW) for job in each.jobs]
        assert ahead
        assert demo.job.id not in ahead
        with pytest.raises(Unreadable, match=f"What is stored of job {demo.job.id} "):
            jobs.with_id(tx, demo.job.id)


def test_a_build_is_left_out_of_lists(made: World, demo: Demo) -> None:
    client = visitor(made)
    spoil(made, "build", "config", demo.build, NO_PATHS)
    found = get(client, f"/projects/acme/jobs/{demo.job.name}/builds?limit=100")["items"]
    assert demo.build not in [build["id"] for build in found]
    for path in ("/", "/projects/acme", f"/projects/acme/jobs/{demo.job.name}"):
        read(client, path)
    assert f"What is stored of build {demo.build} " in read(client, f"/builds/{demo.build}", 409)


def test_a_broken_job_leaves_its_app_pipeline_and_builds_to_be_shown(made: World, demo: Demo) -> None:
    furnish_releases(made, NOW)
    client = visitor(made)
    with made.db.read() as tx:
        (app,) = apps.page(tx, project_id=None, limit=9)
        last = deployments.page(tx, limit=1)[0]
        member = app.members[-1]
        build = next(step.build_id for step in last.steps if step.build_id is not None)
    spoil(made, "job", "definition", member.job_id)
    spoil(made, "job", "definition", demo.job.id)  # which is in the pipeline
    for path in ("/apps", "/pipelines", f"/builds/{build}"):
        read(client, path)
    assert [each["name"] for each in get(client, "/projects/acme/apps")["items"]] == [app.name]
    assert [each["id"] for each in get(client, f"/projects/acme/apps/{app.name}/deployments")["items"]]
    assert get(client, "/projects/acme/pipelines")["items"]


def test_flows_and_their_runs_are_left_out_of_lists(made: World, demo: Demo) -> None:
    furnish_releases(made, NOW)
    client = visitor(made)
    with made.db.read() as tx:
        (flow,) = flows.page(tx, project_id=None, limit=9)
        newest, *others = flows.runs_page(tx, flow.id, 9)
    spoil(made, "flow_node", "spec", newest.nodes[0].id, {"type": "of a later release"})
    found = get(client, f"/projects/acme/flows/{flow.name}/runs")["items"]
    assert [run["id"] for run in found] == [run.id for run in others]
    read(client, f"/projects/acme/flows/{flow.name}")
    read(client, f"/flows/runs/{newest.id}", 409)
    spoil(made, "flow", "definition", flow.id, LATER)
    assert get(client, "/projects/acme/flows")["items"] == []
    read(client, "/flows")
    assert f"What is stored of flow {flow.id} " in read(client, f"/projects/acme/flows/{flow.name}", 409)


def test_pushes_reach_the_other_sources_of_a_repository(made: World) -> None:
    source, other = (made.job(name, repository="acme/both").source for name in ("broken", "whole"))
    assert source is not None
    assert other is not None

    def tracking() -> list[int]:
        with made.db.read() as tx:
            scopes = [f"project:{source.project_id}"]
            return [each.id for each, _ in jobs.tracking(tx, [source.repo_key], scopes)]

    assert tracking() == [source.id, other.id]
    spoil(made, "source", "build", source.id, NO_PATHS)
    assert tracking() == [other.id]


def test_whose_a_row_is_that_can_t_be_read_is_told_to_nobody_of_a_single_project(
    made: World, demo: Demo
) -> None:
    """It may be another project's: for them it does not exist."""
    spoil(made, "run", "effective", demo.finished_run)
    with made.db.write() as tx:
        acme = projects.named(tx, "acme").id
        user = users.named(tx, "operator-user")
        assert user is not None
        users.set_grant(tx, user.id, Role.OPERATOR, acme)
        users.revoke_grant(tx, user.id, None)
    of_acme = visitor(made, Role.OPERATOR)
    detail = f"There is no run {demo.finished_run}, or not for you."
    assert json.loads(read(of_acme, f"/api/v1/runs/{demo.finished_run}", 404))["detail"] == detail
    assert detail in read(of_acme, f"/runs/{demo.finished_run}", 404)
    assert read(of_acme, "/runs/999", 404).replace("999", str(demo.finished_run)) == read(
        of_acme, f"/runs/{demo.finished_run}", 404
    )
