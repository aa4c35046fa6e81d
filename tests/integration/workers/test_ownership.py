"""Whose an image is: each door of the API, runs whose image turns out to be another project's, and Dockerfiles."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from app.commands.runs import enqueue_run
from app.domain.builds import BuildReason, BuildStatus
from app.domain.errors import EngineUnavailable
from app.domain.job.records import Deployed
from app.domain.references import Ours
from app.domain.runs import Reason, RunStatus, Trigger, TriggerType
from app.engines.fake import Fault
from app.store import credentials, jobs, projects
from app.web.app import create_app
from app.web.server_context import ServerContext
from app.workers.image_names import ImageNames
from tests.support.api import Caller, build_succeeds
from tests.support.client import Client
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import spec_of
from tests.support.server_context import ADMIN_TOKEN

OURS = "jobyard-0123456789ab"
DIGEST = "sha256:" + "1" * 64
GIT = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
STOLEN = (
    f"{OURS}:build-1",
    f"docker.io/library/{OURS}:build-1-0a1b",
    f"localhost/{OURS}:build-1",
    f"{OURS}@{DIGEST}",
    "jobyard-ba9876543210:build-1",
    DIGEST,
    DIGEST.removeprefix("sha256:"),
    "111111111111",
    "sha256:1111",
    f"busybox@{DIGEST}",
    "registry.jobyard.example/team/acme/report:1",
    "Registry.jobyard.example:443/team/acme/report:1",
)
LINK_LOCAL = ("169.254.169.254/a/b:1", "2852039166:80/a/b:1", "0xa9fea9fe:80/a:1", "0251.0376.0251.0376/a:1")
A = commit("a")


@pytest.fixture
def built(admin: Caller, context: ServerContext) -> Caller:
    """Project acme has build 1, and project bravo a job of an image, a job that is built, and a flow."""
    admin.made("/projects/acme/jobs", {"name": "report", "source": GIT})
    admin.made("/projects/acme/jobs/report/builds", {"sha": "a" * 40})
    build_succeeds(context, digest_=DIGEST)
    admin.made("/projects", {"name": "bravo"})
    admin.made("/projects/bravo/jobs", {"name": "tool", "source": {"type": "image", "image": "busybox:1"}})
    return admin


def doors(image: str) -> list[tuple[str, str, dict[str, Any], str]]:
    source = {"type": "image", "image": image}
    overrides = {"name": "n", "type": "run", "job": "tool", "overrides": {"image": image}}
    deploy = {"project": "bravo", "job": "tool", "image": image}
    settings = {"project": "bravo", "fields": {"name": "other", "source": source}}
    return [
        ("POST", "/projects/bravo/jobs", {"name": "other", "source": source}, "source.image"),
        ("PATCH", "/projects/bravo/jobs/tool", {"source": {"image": image}}, "source.image"),
        ("POST", "/projects/bravo/jobs/tool/runs", {"image": image}, "image"),
        ("POST", "/projects/bravo/jobs/tool/runs?dry_run=1", {"image": image}, "image"),
        ("POST", "/projects/bravo/jobs/tool/deploy", {"image": image}, "image"),
        ("POST", "/projects/bravo/flows", {"name": "f", "nodes": [overrides]}, "nodes.0.overrides.image"),
        ("POST", "/plan", {"deploy": deploy}, "image"),
        ("POST", "/plan", {"settings": settings}, "source.image"),
    ]


@pytest.mark.parametrize("image", [*STOLEN, *LINK_LOCAL])
def test_no_door_takes_another_projects_image(built: Caller, image: str) -> None:
    for method, path, body, field in doors(image):
        answer = built.request(method, path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        (error,) = answer.json()["errors"]
        assert error["field"].endswith(field), (path, error)
        assert error["message"].count(".") >= 1


@pytest.mark.parametrize(
    "image", ["busybox:latest", "eco-jobyard:test", "127.0.0.1:5000/a:1", "10.0.0.1/a/b"]
)
def test_every_door_takes_other_names(built: Caller, image: str) -> None:
    for method, path, body, _ in doors(image):
        assert built.request(method, path, json=body).is_success, path


def test_a_project_names_its_own_images(built: Caller) -> None:
    for number, image in enumerate((f"{OURS}:build-1", DIGEST, f"busybox@{DIGEST}")):
        source = {"type": "image", "image": image}
        built.made("/projects/acme/jobs", {"name": f"own-{number}", "source": source})
        built.made("/projects/acme/jobs/report/runs", {"image": image})
        built.made("/projects/acme/jobs/report/deploy", {"image": image})


PAGES = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("image", STOLEN)
def test_the_forms_of_pages_take_no_other_projects_image_either(
    built: Caller, context: ServerContext, image: str
) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", **PAGES}
    path = "/projects/bravo/jobs/tool"
    with Client(create_app(context, nullcontext), headers=headers, follow_redirects=False) as page:
        for form, button in (
            ("run", {}),
            ("run", {"preview": "1"}),
            ("deploy", {}),
            ("deploy", {"preview": "1"}),
        ):
            answer = page.post(
                f"{path}/{form}", data={"build": "image" * (form == "deploy"), "image": image, **button}
            )
            assert answer.status_code == 422, (form, button, answer.text)
            assert 'id="e-image"' in answer.text
        assert page.post(f"{path}/run", data={"image": "busybox:1"}).status_code == 303
    assert len(built.got(f"{path}/runs")["items"]) == 1


JOB = {"name": "built", "source": GIT}
SERVICE = {"name": "service", "git": GIT["git"]}


def variable(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {name: {"value": value, "scope": "both", **more}}


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (variable("BUILDKIT_CACHE_MOUNT_NS", "alpha"), "is a build variable of Jobyard's own"),
        (
            variable("BUILDKIT_SANDBOX_HOSTNAME", "alpha", scope="build"),
            "is a build variable of Jobyard's own",
        ),
        (variable("BUILDKIT_CACHE_MOUNT_NS", "alpha", secret=True), "is a build variable of Jobyard's own"),
        (variable("BUILDKIT_SYNTAX", "evil/frontend:1"), "must be docker/dockerfile"),
        (variable("BASE", f"{OURS}:build-1"), "must not be"),
        (variable("BASE", f"docker.io/library/{OURS}:build-1-0a"), "must not be"),
        (variable("BASE", f"x {OURS.upper()}:build-1"), "must not be"),
        (variable("BASE", "jobyard-ba9876543210:build-1"), "must not be"),
    ],
)
def test_a_variable_that_no_build_may_have_is_refused_where_it_is_saved(
    built: Caller, env: dict[str, Any], said: str
) -> None:
    (name,) = env
    (entry,) = env.values()
    for path, body in (("jobs", {**JOB, "env": env}), ("secret-groups", {"name": "g", "env": env})):
        answer = built.post(f"/projects/bravo/{path}", json=body)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["field"] == f"env.{name}"
        assert said in error["message"]
        in_runs = {name: {**entry, "scope": "run"}}
        assert built.post(f"/projects/bravo/{path}", json={**body, "env": in_runs}).status_code == 201
        changed = built.patch(f"/projects/bravo/{path}/{body['name']}", json={"env": env})
        assert changed.status_code == 422


@pytest.mark.parametrize("field", ["install_command", "build_command", "run_command"])
def test_a_command_that_names_another_projects_image_is_refused_where_it_is_saved(
    built: Caller, field: str
) -> None:
    command = f"--mount=type=bind,from={OURS}:build-1,target=/x ls /x"
    build = {field: command}
    for path, body, at in (
        ("jobs", {**JOB, "source": {**GIT, "build": build}}, "source.build"),
        ("build-services", {**SERVICE, "build": build}, "build"),
    ):
        answer = built.post(f"/projects/bravo/{path}", json=body)
        assert answer.status_code == 422, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [f"{at}.{field}"]
        assert built.post(f"/projects/acme/{path}", json=body).status_code == 201


def test_names_that_earlier_releases_gave_are_replaced_once(place: Installation) -> None:
    old = [f"{OURS}:build-7", f"localhost/{OURS}:build-8", f"{OURS}-0a1b2c3d:build-7"]
    kept = [f"{OURS}:build-7-0a1b", "jobyard-ba9876543210:build-7", "busybox:latest", f"{OURS}:build-x"]
    place.world.names = [*old, *kept]
    for epoch in ("", "-0a1b2c3d"):
        names = ImageNames(place.engine, place.box, Ours(f"{OURS}{epoch}"))
        place.engine.fail("rename_images", Fault.REFUSED)
        with pytest.raises(EngineUnavailable):
            names.step()
        names.step()
        names.step()  # once is enough
        assert place.world.names[3:] == kept
        for before, now in zip(old, place.world.names, strict=False):
            assert re.fullmatch(rf"{re.escape(before)}-[0-9a-f]{{20}}", now)
    assert len({name.rpartition("-")[2] for name in place.world.names[:3]}) == 3


def bravo(place: Installation) -> int:
    with place.db.write() as tx:
        return projects.create(tx, "bravo", None, place.clock.now()).id


def run_of(place: Installation, project_id: int, image: str, digest: str | None) -> None:
    """As a row that today's doors would not let in."""
    source = {"type": "image", "image": image, "credential": None}
    with place.db.write() as tx:
        now = place.clock.now()
        job = jobs.create(tx, project_id, spec_of("tool", source=source), None, now)
        fixed = None if digest is None else Deployed(image, digest, None, None, "", now)
        enqueue_run(tx, place.names, job, Trigger(TriggerType.API, "ada"), now, image=fixed)


@pytest.mark.parametrize("is_fixed", [True, False])
def test_a_run_of_another_projects_image_does_not_start(
    place: Installation, server: Server, is_fixed: bool
) -> None:
    place.job()
    place.push(None, A)
    server.work()
    before = {run.id for run in place.runs()}
    run_of(place, bravo(place), image_of(A), image_of(A) if is_fixed else None)
    server.work()
    (run,) = (run for run in place.runs() if run.id not in before)
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.IMAGE_UNAVAILABLE, 0)
    assert "image of this project" in run.sentence


def test_a_run_has_its_own_projects_image_without_asking_a_registry(
    place: Installation, server: Server
) -> None:
    place.job()
    place.push(None, A)
    server.work()
    before = {run.id for run in place.runs()}
    place.engine.without_image(f"{OURS}:build-1")
    for image in (f"{OURS}:build-1", image_of(A)):
        run_of(place, place.project.id, image, None)
        server.work()
        (run,) = (run for run in place.runs() if run.id not in before)
        before.add(run.id)
        assert (run.status, run.digest) == (RunStatus.SUCCEEDED, image_of(A)), run
        with place.db.write() as tx:
            jobs.delete(tx, run.job_id, place.clock.now())


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        (f"FROM {OURS}:build-1\n", "must not be"),
        (f"FROM x\nCOPY --from=localhost/{OURS}:build-1-0a / /\n", "must not be"),
        (f"ARG A={OURS}\nFROM ${{A}}:build-1\n", "must not be"),
        (f"FROM x\nCOPY --from={OURS[:9]}\\\n{OURS[9:]}:build-1 / /\n", "must not be"),
        (f"FROM {image_of(A)}\n", "must be an image of this project"),
        ("FROM ${A#x}\n", "can't fill in"),
        ("# syntax=evil/frontend:1\nFROM x\n", "must be docker/dockerfile"),
        ("FROM 2852039166:80/a/b:1\n", "link-local"),
        ("FROM x\nADD http://0xa9fea9fe/latest /\n", "link-local"),
    ],
)
def test_a_dockerfile_asks_for_nothing_of_another_project(
    place: Installation, server: Server, dockerfile: str, said: str
) -> None:
    place.job()
    place.push(None, A)
    server.work()
    b = commit("b")
    place.repository.files[b] = {"Dockerfile": dockerfile}
    server.builder = replace(server.builder, addresses_of=lambda host, _: ["169.254.169.254"])
    other = bravo(place)
    place.job("other", project_id=other)
    place.push(A, b, scopes=(f"project:{other}",))
    server.work()
    (build,) = (each for each in place.builds() if each.project == "bravo")
    assert (build.status, build.reason) == (BuildStatus.FAILED, BuildReason.BUILD_FAILED), build
    assert said in build.sentence
    assert len(place.backend.requests) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BUILDKIT_CACHE_MOUNT_NS", "theirs", "The build variable BUILDKIT_CACHE_MOUNT_NS is Jobyard's own"),
        (
            "BUILDKIT_SANDBOX_HOSTNAME",
            "theirs",
            "The build variable BUILDKIT_SANDBOX_HOSTNAME is Jobyard's own",
        ),
        ("BUILDKIT_SYNTAX", "evil/frontend:1", "The Dockerfile's syntax must be docker/dockerfile"),
    ],
)
def test_a_build_variable_changes_no_scope_and_no_frontend(
    place: Installation, server: Server, name: str, value: str, said: str
) -> None:
    place.job(env={name: {"value": value, "secret": False, "scope": "build"}})
    place.push(None, A)
    server.work()
    (build,) = place.builds()
    assert (build.reason, place.backend.requests) == (BuildReason.BUILD_FAILED, [])
    assert build.sentence.startswith(said)


def test_names_and_scopes_are_a_projects_own(place: Installation, server: Server) -> None:
    place.job()
    place.job("second", build__run_command="echo second")
    other = bravo(place)
    place.job("other", project_id=other)
    place.push(None, A, scopes=(f"project:{place.project.id}", f"project:{other}"))
    server.work()
    by_project: dict[str, set[str]] = {}
    for build, request in zip(
        sorted(place.builds(), key=lambda each: each.id), place.backend.requests, strict=True
    ):
        by_project.setdefault(build.project, set()).add(request.scope)
        (tag,) = request.tags
        assert tag.startswith(f"{OURS}:build-{build.id}-")
        assert len(tag.rpartition("-")[2]) == 20
    scopes = [scope for found in by_project.values() for scope in found]
    assert (len(by_project), len(scopes), len(set(scopes))) == (2, 2, 2)
    assert all(scope.isalnum() and len(scope) == 40 for scope in scopes)


# credentials without a host, from the time when it could be left out


def hostless(context: ServerContext, kind: str) -> None:
    with context.db.write() as tx:
        project = projects.named(tx, "acme")
        credentials.create(
            tx,
            project.id,
            name="old",
            kind=kind,
            host="",
            username="",
            secret=context.vault.seal("x", "credential"),
            now=context.clock.now(),
        )


def test_a_credential_needs_a_host(admin: Caller) -> None:
    for host in ({}, {"host": ""}, {"host": "169.254.169.254"}, {"host": "2852039166:80"}):
        answer = admin.post(
            "/projects/acme/credentials", json={"name": "a", "kind": "git", "secret": "x", **host}
        )
        assert [each["field"] for each in answer.json()["errors"]] == ["host"], answer.text


@pytest.mark.parametrize("kind", ["git", "registry"])
def test_one_without_a_host_is_named_nowhere_until_it_has_one(
    admin: Caller, context: ServerContext, kind: str
) -> None:
    hostless(context, kind)
    path = "/projects/acme/credentials/old"
    sentence = (
        "Credential old has no host, so it is sent nowhere: set the host that it is for, such as github.com."
    )
    assert admin.got(path)["warnings"] == [sentence]
    source = (
        {"type": "git", "git": {**GIT["git"], "credential": "old"}}  # type: ignore[dict-item]
        if kind == "git"
        else {"type": "image", "image": "github.com/a/b:1", "credential": "old"}
    )
    refused = admin.post("/projects/acme/jobs", json={"name": "report", "source": source})
    assert (refused.status_code, refused.json()["detail"]) == (422, sentence)
    changed = admin.patch(path, json={"host": "github.com"})
    assert (changed.json()["host"], changed.json()["warnings"]) == ("github.com", [])
    assert admin.patch(path, json={"host": "evil.example"}).status_code == 422
    admin.made("/projects/acme/jobs", {"name": "report", "source": source})
