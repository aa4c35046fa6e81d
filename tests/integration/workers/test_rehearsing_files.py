"""A rehearsed push says what `jobyard.yaml` of its commit would change, and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.commands.dry_run import DryRun
from app.forges.github import GitHub
from tests.support.api import Caller
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import URL

A, B = commit("a"), commit("b")
TWO = "jobs:\n- name: nightly\n  retry_limit: 1\n- name: once\n"
OTHERS = "jobs:\n- name: nightly\n  retry_limit: 2\n- name: hourly\n  kind: cron\n  schedule: {cron: '0 * * * *'}\n"


@pytest.fixture
def caller(place: Installation, server: Server) -> Caller:
    """Of a project that takes what its repository says, and has taken a first push."""
    dry_run = DryRun(
        place.db, place.clock, {"github": GitHub()}, place.repository, place.box, server.intake.apply_file
    )
    caller = Caller(replace(place.web, dry_run=dry_run))
    service = {"name": "images", "git": {"url": URL}, "config_file": True}
    caller.made("/projects/reports/build-services", service)
    place.repository.files[A] = {"Dockerfile": "FROM scratch\n", "jobyard.yaml": TWO}
    place.push(None, A)
    server.work()
    return caller


def exported(caller: Caller) -> str:
    return str(caller.get("/export").text)


def rehearsed(place: Installation, caller: Caller, text: str, **push: Any) -> dict[str, Any]:
    """What becomes of each job, by a push of a commit with this file."""
    place.repository.files[B] = {"Dockerfile": "FROM scratch\n", "jobyard.yaml": text}
    before = exported(caller), len(place.decisions())
    given = {"repository": "acme/report", "ref": "main", "before": A, "after": B, **push}
    found = caller.made("/plan", {"push": given})
    assert (exported(caller), len(place.decisions())) == before, "something was done"
    return {each["job"]: each for each in found["items"]}


def test_jobs_that_the_file_makes_changes_and_drops(place: Installation, caller: Caller) -> None:
    found = rehearsed(place, caller, OTHERS)
    said = {name: each["file"]["sentence"] for name, each in found.items()}
    assert said == {
        "nightly": f"Changed by jobyard.yaml at {B[:7]}: retry_limit.",
        "once": "Paused, as jobyard.yaml does not have it any more.",
        "hourly": f"Made by jobyard.yaml at {B[:7]}.",
    }
    assert found["hourly"]["file"]["verdict"] == "configured"
    assert found["hourly"]["would_build"]
    assert not found["once"]["would_deploy"]


def test_what_the_file_leaves_as_it_is(place: Installation, caller: Caller) -> None:
    assert [each["file"] for each in rehearsed(place, caller, TWO).values()] == [None, None]


def test_a_wrong_file_builds_nothing(place: Installation, caller: Caller) -> None:
    found = rehearsed(place, caller, "jobs:\n- name: nightly\n  retry_limt: 2\n")
    assert not found["nightly"]["would_build"]
    assert found["nightly"]["build"]["rule"] == "wrong_file"
    assert "line 3: There is no field jobs.0.retry_limt" in found["nightly"]["build"]["sentence"]


def test_another_branch_has_no_say(place: Installation, caller: Caller) -> None:
    found = rehearsed(place, caller, OTHERS, ref="topic")
    assert [each["file"] for each in found.values()] == [None, None]


def test_a_delivery_that_would_be_replayed(place: Installation, caller: Caller, server: Server) -> None:
    place.repository.files[B] = {"Dockerfile": "FROM scratch\n", "jobyard.yaml": "jobs: ["}
    guid = place.push(A, B)
    server.work()
    place.repository.files[B] = {"Dockerfile": "FROM scratch\n", "jobyard.yaml": OTHERS}
    found = caller.made("/plan", {"delivery": guid})
    assert [each["job"] for each in found["items"] if each["file"]] == ["nightly", "once", "hourly"]
