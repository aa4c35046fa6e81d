"""What defining, changing and deleting a job is refused with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Caller

JOBS = "/projects/acme/jobs"
URL = "https://github.com/acme/report"
OTHER_BRANCH = (
    "source.branch must be main, the branch of build service images, not 'next':"
    " leave it out, or name another build service."
)


@pytest.fixture
def acme(admin: Caller) -> Caller:
    admin.made("/projects/acme/build-services", {"name": "images", "git": {"url": URL}})
    for kind, host in (("git", "gitlab.com"), ("registry", "ghcr.io")):
        body = {"name": kind, "kind": kind, "host": host, "username": "acme", "secret": "a secret"}
        admin.made("/projects/acme/credentials", body)
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": {"url": URL}}})
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox"}})
    return admin


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            {"type": "build_service", "build_service": "x"},
            "source.build_service must name a build service of project acme, not 'x'.",
        ),
        (
            {"type": "build_service", "build_service": "images", "branch": "next"},
            OTHER_BRANCH,
        ),
        (
            {"type": "git", "git": {"url": URL, "credential": "registry"}},
            "source.git.credential must name a git credential of project acme, not 'registry'.",
        ),
        (
            {"type": "git", "git": {"url": URL, "credential": "git"}},
            "source.git.credential must be a credential for github.com; git is for gitlab.com.",
        ),
        (
            {"type": "image", "image": "busybox", "credential": "registry"},
            "source.credential must be a credential for docker.io; registry is for ghcr.io.",
        ),
    ],
)
def test_a_source_that_names_what_is_not_there(acme: Caller, source: dict[str, Any], said: str) -> None:
    answer = acme.post(JOBS, json={"name": "new", "source": source})
    assert (answer.status_code, answer.json()["detail"]) == (422, said)


def test_another_type_of_source_is_another_job(acme: Caller) -> None:
    answer = acme.patch(f"{JOBS}/once", json={"source": {"type": "git", "git": {"url": URL}}})
    said = "source.type can't be changed: it stays image. Make another job for another type."
    assert (answer.status_code, answer.json()["detail"]) == (422, said)


def test_a_job_that_something_has_is_not_deleted(acme: Caller) -> None:
    acme.made(f"{JOBS}/once/runs")
    answer = acme.delete(f"{JOBS}/once?confirm=once")
    said = "Job once has runs that are not over (once-00001): cancel them first."
    assert (answer.status_code, answer.json()["detail"]) == (409, said)
    stages = [{"name": "production", "components": ["report"]}]
    acme.made("/projects/acme/pipelines", {"name": "main", "stages": stages})
    answer = acme.delete(f"{JOBS}/report?confirm=report")
    said = "Job report is in stage production of pipeline main: take it out first."
    assert (answer.status_code, answer.json()["detail"]) == (409, said)
