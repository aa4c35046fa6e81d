"""`jobyard.yaml` of a repository: taken in with the push, whole or not at all, of the branch's newest commit."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.errors import GitUnavailable
from app.domain.job.records import Job
from app.store import jobs
from tests.support.api import Caller
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import URL

A, B, C = commit("a"), commit("b"), commit("c")
NIGHTLY = """
jobs:
- name: nightly
  kind: cron
  schedule: {cron: "30 2 * * *", time_zone: Europe/Berlin}
  command: [python, report.py]
  env: {MODE: daily}
- name: once
  retry_limit: 2
"""


@pytest.fixture
def repository(place: Installation) -> Installation:
    """A project that takes what its repository says of its jobs, and has none yet."""
    service = {"name": "images", "git": {"url": URL}, "config_file": True}
    Caller(place.web).made("/projects/reports/build-services", service)
    return place


def pushed(
    place: Installation, server: Server, before: str | None, after: str, text: str | None, **fields: Any
) -> str:
    """Push a commit with this file; returns the sentence of its delivery."""
    files = {"Dockerfile": "FROM scratch\n"}
    place.repository.files[after] = files if text is None else {**files, "jobyard.yaml": text}
    guid = place.push(before, after, **fields)
    server.work()
    return place.delivery(guid).sentence


def job(place: Installation, name: str) -> Job:
    with place.db.read() as tx:
        return jobs.named(tx, "reports", name)


def sentences(place: Installation, *verdicts: str) -> list[str]:
    return [each.sentence for each in place.decisions() if each.verdict in verdicts]


def test_a_first_push_makes_its_jobs_builds_them_and_sets_their_schedules(
    repository: Installation, server: Server
) -> None:
    said = pushed(repository, server, None, A, NIGHTLY)
    assert said == "1 of 1 source to be built, 2 jobs decided."
    nightly, once = job(repository, "nightly"), job(repository, "once")
    assert (nightly.next_fire_at is not None, once.next_fire_at, once.spec.run.retry_limit) == (True, None, 2)
    assert nightly.deployed is not None
    assert nightly.deployed.sha == A
    assert len(repository.builds()) == 1
    assert sentences(repository, "configured") == [f"Made by jobyard.yaml at {A[:7]}."] * 2
    assert [each[:3] for each in repository.verdicts() if each[0] == "push"] == [
        ("push", "nightly", "built"),
        ("push", "once", "built"),
    ]


def test_a_later_push_changes_what_it_says_and_takes_back_what_it_says_no_more(
    repository: Installation, server: Server
) -> None:
    pushed(repository, server, None, A, NIGHTLY)
    web = Caller(repository.web)
    web.patch("/projects/reports/jobs/once", json={"env": {"OWN": "kept"}})
    pushed(
        repository,
        server,
        A,
        B,
        "jobs:\n- {name: nightly, env: {LEVEL: high}}\n- {name: once, retry_limit: 3}\n",
    )
    nightly, once = web.got("/projects/reports/jobs/nightly"), web.got("/projects/reports/jobs/once")
    assert (nightly["kind"], nightly["schedule"], nightly["command"]) == ("manual", None, None)
    assert nightly["env"] == {"LEVEL": "high"}
    assert (once["retry_limit"], once["env"]) == (3, {"OWN": "kept"})
    assert once["from_file"] == {
        "build_service": "images",
        "sha": B,
        "fields": ["retry_limit"],
        "removed": False,
    }
    assert f"Changed by jobyard.yaml at {B[:7]}: retry_limit." in sentences(repository, "configured")
    pushed(
        repository,
        server,
        B,
        C,
        "jobs:\n- {name: nightly, env: {LEVEL: high}}\n- {name: once, retry_limit: 3}\n",
    )
    assert len(sentences(repository, "configured")) == 4


def test_a_wrong_file_builds_nothing_and_keeps_everything(repository: Installation, server: Server) -> None:
    pushed(repository, server, None, A, NIGHTLY)
    before = Caller(repository.web).get("/export").text
    wrong = NIGHTLY.replace("30 2", "61 2").replace("retry_limit: 2", "retry_limt: 2") + "- {name: fresh}\n"
    said = pushed(repository, server, A, B, wrong)
    assert said == "0 of 1 source to be built, 2 jobs decided."
    assert Caller(repository.web).get("/export").text == before
    assert len(repository.builds()) == 1
    [sentence] = set(sentences(repository, "refused"))
    assert sentence == (
        f"jobyard.yaml at {B[:7]} is wrong, so nothing is built: "
        "line 5: jobs.0.schedule.cron: The minute '61' is out of range; it goes from 0 to 59. "
        "line 9: There is no field jobs.1.retry_limt: did you mean retry_limit?"
    )
    pushed(repository, server, B, C, NIGHTLY)
    assert len(repository.builds()) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("jobs: [", "jobyard.yaml is not YAML: "),
        ("- name: a\n", "jobyard.yaml must be one document with jobs."),
        ("jobs: []", "line 1: jobs must not be empty."),
        ("jobs:\n- {name: a}\n- {name: a}\n", "line 3: jobs.1.name is that of another job as well, a."),
        (
            "jobs:\n- name: a\n  source: {type: none}\n",
            "line 3: jobs.0.source is this repository: leave it out.",
        ),
        (
            "jobs:\n- name: a\n  env:\n    T: {value: x, secret: true}\n",
            "line 4: jobs.0.env.T is a secret, which a",
        ),
        ("jobs:\n- name: a\n  env: {T: {scope: build}}\n", "line 3: jobs.0.env.T must have a value."),
        ("jobs:\n- name: a\n  plan: gigantic\n", "line 3: job reports/a: plan must be one of the plans"),
        ("jobs:\n- {name: mine}\n", "line 2: jobs.0.name is that of a job that is not built from images"),
        (
            "jobs:\n- {name: a}\napp: {name: shop}\n",
            "line 3: app.name is that of an app with jobs that are not built",
        ),
        (
            "jobs:\n- {name: a}\nstage: {pipeline: main, stage: x}\n",
            "stage.pipeline must name a pipeline of project",
        ),
        (
            "jobs:\n- name: a\n  secret_groups: [none]\n",
            "jobs.0.secret_groups must name secret groups of project",
        ),
        (
            "jobs:\n- name: a\n  env: {T: {from: file, path: x}}\n",
            "line 3: job reports/a: env.T.from can't be file",
        ),
        (
            f"jobs: [{{name: a}}]\n# {'x' * 300_000}",
            "can't be taken, so nothing is built: jobyard.yaml is longer than",
        ),
    ],
)
def test_what_a_file_may_not_say_is_said_with_its_line(
    repository: Installation, server: Server, text: str, complaint: str
) -> None:
    repository.app("shop", repository.job("mine"))
    before = Caller(repository.web).get("/export").text
    pushed(repository, server, None, A, text)
    [sentence] = [each.sentence for each in repository.decisions() if each.verdict == "refused"]
    assert complaint in sentence
    assert Caller(repository.web).get("/export").text == before


def test_what_the_file_has_no_more_is_paused_and_goes_on_when_it_is_there_again(
    repository: Installation, server: Server
) -> None:
    pushed(repository, server, None, A, NIGHTLY)
    less = "jobs:\n- name: nightly\n"
    pushed(repository, server, A, B, less)
    once = job(repository, "once")
    assert once.paused
    assert once.from_file is not None
    assert (once.from_file.removed, once.from_file.fields) == (True, ())
    [sentence] = sentences(repository, "paused")
    assert sentence.startswith(
        f"Paused by jobyard.yaml at {B[:7]}, which does not have it any more: builds are not deployed"
    )
    pushed(repository, server, B, C, NIGHTLY)
    assert not job(repository, "once").paused
    [resumed] = sentences(repository, "resumed")
    assert resumed.startswith(f"Resumed by jobyard.yaml at {C[:7]}")


def test_what_the_file_sets_is_changed_there_alone(repository: Installation, server: Server) -> None:
    pushed(repository, server, None, A, NIGHTLY)
    web, nightly = Caller(repository.web), "/projects/reports/jobs/nightly"
    refused = web.patch(
        nightly, json={"schedule": {"cron": "@daily"}, "env": {"MODE": "weekly"}, "retry_limit": 1}
    )
    assert refused.status_code == 422
    assert {each["field"]: each["message"] for each in refused.json()["errors"]} == {
        "schedule": f"schedule is set by jobyard.yaml at {A[:7]}: change it there.",
        "env.MODE": f"env.MODE is set by jobyard.yaml at {A[:7]}: change it there.",
    }
    assert (
        web.patch(nightly, json={"retry_limit": 1, "env": {"MODE": "daily", "OWN": "x"}}).status_code == 200
    )
    assert web.post(f"{nightly}/pause").status_code == 200
    pushed(repository, server, A, B, NIGHTLY)
    assert job(repository, "nightly").paused


def test_apps_stages_groups_and_the_build_are_said_once_for_all_jobs(
    repository: Installation, server: Server
) -> None:
    web = Caller(repository.web)
    web.made("/projects/reports/secret-groups", {"name": "mail", "env": {"HOST": "h"}})
    web.made("/projects/reports/pipelines", {"name": "main", "stages": [{"name": "test"}, {"name": "live"}]})
    text = """
build: {mode: dockerfile, dockerfile: /docker/Dockerfile}
jobs:
- {name: web, secret_groups: [mail]}
- {name: migrate, deploy_trigger: pre-deploy}
app: {name: shop}
stage: {pipeline: main, stage: STAGE}
"""
    pushed(repository, server, None, A, text.replace("STAGE", "test"))
    assert web.got("/projects/reports/apps/shop")["jobs"] == ["web", "migrate"]
    assert web.got("/projects/reports/secret-groups/mail")["jobs"] == ["web"]
    assert web.got("/projects/reports/build-services/images")["build"]["dockerfile"] == "/docker/Dockerfile"
    assert repository.builds()[0].config.dockerfile == "/docker/Dockerfile"
    pushed(repository, server, A, B, text.replace("STAGE", "live").replace("[mail]", "[]"))
    stages = web.got("/projects/reports/pipelines/main")["stages"]
    assert [[each["name"] for each in stage["components"]] for stage in stages] == [[], ["shop"]]
    assert web.got("/projects/reports/secret-groups/mail")["jobs"] == []


def test_only_the_service_s_own_branch_speaks_and_only_where_it_may(
    repository: Installation, server: Server
) -> None:
    pushed(repository, server, None, A, NIGHTLY, ref="refs/heads/feature")
    pushed(repository, server, None, B, NIGHTLY, ref="refs/pull/1/head")
    assert sentences(repository, "configured") == []
    web = Caller(repository.web)
    web.patch("/projects/reports/build-services/images", json={"config_file": False})
    pushed(repository, server, None, C, NIGHTLY)
    assert web.got("/projects/reports/jobs")["items"] == []


def test_a_commit_without_the_file_changes_nothing_and_says_so(
    repository: Installation, server: Server
) -> None:
    pushed(repository, server, None, A, NIGHTLY)
    pushed(repository, server, A, B, None)
    assert not job(repository, "once").paused
    built = sentences(repository, "built")[-1]
    assert built.endswith(f"There is no jobyard.yaml at {B[:7]}, so settings stay as they are.")


def test_a_late_push_sets_nothing_back(repository: Installation, server: Server) -> None:
    pushed(repository, server, None, A, NIGHTLY)
    pushed(repository, server, B, C, NIGHTLY.replace("retry_limit: 2", "retry_limit: 5"))
    pushed(repository, server, A, B, NIGHTLY.replace("retry_limit: 2", "retry_limit: 4"))
    assert job(repository, "once").spec.run.retry_limit == 5


def test_git_is_asked_again_and_then_the_push_goes_on_without(
    repository: Installation, server: Server
) -> None:
    repository.repository.faults.append(GitUnavailable("Git is away."))
    repository.repository.files[A] = {"Dockerfile": "FROM scratch\n", "jobyard.yaml": NIGHTLY}
    guid = repository.push(None, A)
    server.work()
    assert repository.delivery(guid).status == "processed"
    assert job(repository, "nightly").deployed is not None
    repository.repository.faults += [GitUnavailable("Git is away.")] * 3
    pushed(repository, server, A, B, NIGHTLY.replace("retry_limit: 2", "retry_limit: 5"))
    assert job(repository, "once").spec.run.retry_limit == 2
    assert f"jobyard.yaml at {B[:7]} can't be read, so settings stay as they are: Git is away." in "".join(
        sentences(repository, "built")
    )
