"""The first steps of a project tick off themselves, and only what has happened."""

from __future__ import annotations

import re
from datetime import timedelta

from app.domain.runs import Reason
from tests.support.seed import SUCCEEDED, World, failed
from tests.support.visiting import NOW, read, run_of, visitor


def done(made: World, path: str = "/projects/acme") -> list[str]:
    return re.findall(r'data-done="(\w+)"', read(visitor(made), path))


def test_each_step_is_done_once_what_it_needs_has_happened(made: World) -> None:
    job = made.job("report")
    assert done(made) == ["no", "no", "no", "no"]
    made.delivery("a push", NOW, sha="a" * 40)
    assert done(made)[1] == "no"
    made.delivery("a ping", NOW, event="ping")
    assert done(made) == ["no", "yes", "no", "no"]
    made.build(job, NOW, sha="a" * 40, plan={"runtime": "python"}, state="failed")
    assert done(made) == ["yes", "yes", "no", "no"]
    made.build(job, NOW + timedelta(minutes=1), sha="b" * 40, plan={"runtime": "python"})
    assert done(made) == ["yes", "yes", "yes", "no"]
    assert 'data-topics="deliveries,builds,runs"' in read(visitor(made), "/projects/acme")
    made.run(job, NOW + timedelta(minutes=2), outcome=SUCCEEDED)
    assert done(made) == []


def test_a_project_without_a_repository_has_no_such_steps(made: World) -> None:
    made.job("report", repository=None)
    assert done(made) == []


def test_a_run_that_is_not_over_is_named(made: World) -> None:
    run = run_of(made, made.run(made.job("report"), NOW))
    page = read(visitor(made), "/projects/acme")
    begin = page[page.index('id="begin"') : page.index('id="jobs"')]
    assert f'href="/runs/{run.name}"' in begin
    assert "Running" in begin


def test_a_project_that_had_a_run_takes_no_first_steps_again(made: World) -> None:
    job = made.job("report")
    made.run(job, NOW, outcome=SUCCEEDED)
    made.run(job, NOW + timedelta(minutes=1))
    assert done(made) == []


def test_a_ping_counts_however_many_deliveries_came_since(made: World) -> None:
    made.job("report")
    made.delivery("a ping", NOW, event="ping")
    for number in range(60):
        made.delivery(f"push {number}", NOW, sha="a" * 40)
    assert done(made) == ["no", "yes", "no", "no"]


def test_a_job_has_its_own_until_its_first_run_that_succeeded(made: World) -> None:
    job = made.job("report")
    path = "/projects/acme/jobs/report"
    assert done(made, path) == ["no", "no", "no", "no"]
    made.delivery("a ping", NOW, event="ping")
    made.build(job, NOW, sha="a" * 40, plan={"runtime": "python"})
    made.run(job, NOW + timedelta(minutes=1), outcome=failed(Reason.EXIT_NONZERO, "Exited with code 1"))
    assert done(made, path) == ["yes", "yes", "yes", "no"]
    page = read(visitor(made), path)
    assert 'href="/projects/acme#webhook"' not in page  # there is nothing left to add
    assert "Failed" in page[page.index('id="begin"') :]
    made.run(job, NOW + timedelta(minutes=2), outcome=SUCCEEDED)
    assert done(made, path) == []


def test_a_job_without_a_repository_has_one_step(made: World) -> None:
    made.job("report", repository=None)
    assert done(made, "/projects/acme/jobs/report") == ["no"]
