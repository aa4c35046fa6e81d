"""A real registry: images from it by tag and digest, images to it after a build, and what happens without it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest

from tests.support.hosted import HostedJob
from tests.support.registry import PASSWORD, USER, Registry, far_away, registry
from tests.support.server import SECRET, JobyardServer, Json, docker_client, jobyard_server

SPEAKS = 'FROM busybox:latest\nCMD ["echo", "{}"]\n'


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants to know who one is."""
    with registry(tmp_path_factory.mktemp("private") / "registry", with_login=True) as made:
        yield made
        forget(made.host)


@pytest.fixture(scope="module")
def pushing(private: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    """A server that pushes what it builds there."""
    data = tmp_path_factory.mktemp("pushing") / "data"
    with jobyard_server(data, registry=f"{private.host}/team") as server:
        give_login(server, "images", private)
        yield server


@pytest.fixture
def distant(private: Registry) -> Iterator[str]:
    """The private registry with busybox as `team/base:1`, so far away that builds look it up at the same time."""
    fill(private, "team/base:1", {"username": USER, "password": PASSWORD})
    with far_away(private) as address:
        yield address
        forget(address)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Registry]:
    """A registry for everybody, with busybox as `tool:1`."""
    with registry(tmp_path / "registry") as made:
        fill(made, "tool:1")
        yield made
        forget(made.host)


def fill(made: Registry, name: str, login: dict[str, str] | None = None) -> None:
    """Put busybox there; the engine itself forgets it."""
    repository, _, tag = name.partition(":")
    with docker_client() as client:
        client.tag("busybox:latest", f"{made.host}/{repository}", tag)
        said = client.push(f"{made.host}/{repository}", tag, auth_config=login)
        assert '"error"' not in said, said
    forget(made.host)


def forget(host: str) -> None:
    """Take every name of a registry's images from the engine."""
    with docker_client() as client:
        for image in client.images():
            for name in [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]:
                if name.startswith(f"{host}/"):
                    with suppress(docker.errors.ImageNotFound):
                        client.remove_image(name, force=True)


def give_login(server: JobyardServer, name: str, made: Registry) -> None:
    if "acme" not in [each["name"] for each in server.items("/projects")]:
        server.api("POST", "/projects", {"name": "acme", "webhook_secret": SECRET})
    login = {"kind": "registry", "username": USER, "secret": PASSWORD}
    server.api("POST", "/projects/acme/credentials", {**login, "name": name, "host": made.host})


def image_job(server: JobyardServer, name: str, image: str, **source: str) -> str:
    server.make_job(
        name,
        "",
        source={"type": "image", "image": image, **source},
        run_on_image_change="never",
        command=["echo", "hello"],
    )
    return f"/projects/acme/jobs/{name}"


def run_of(server: JobyardServer, path: str) -> Json:
    return server.over(f"/runs/{server.api('POST', f'{path}/runs', {})['id']}")


def test_a_tag_is_resolved_when_the_run_starts(jobyard: JobyardServer, shelf: Registry) -> None:
    path = image_job(jobyard, "by-tag", f"{shelf.host}/tool:1")
    run = run_of(jobyard, path)
    digest = shelf.digest("tool", "1")
    assert (run["status"], run["digest"]) == ("succeeded", digest), run
    assert run["image"] == f"{shelf.host}/tool@{digest}"
    assert jobyard.log_of(run) == "hello\n"


def test_a_digest_is_run_as_it_is(jobyard: JobyardServer, shelf: Registry) -> None:
    digest = shelf.digest("tool", "1")
    path = image_job(jobyard, "by-digest", f"{shelf.host}/tool@{digest}")
    run = run_of(jobyard, path)
    assert (run["status"], run["digest"]) == ("succeeded", digest), run


def test_a_promotion_carries_what_was_deployed_whatever_its_tag_means_by_then(
    jobyard: JobyardServer, shelf: Registry
) -> None:
    tag = f"{shelf.host}/tool:1"
    tested, live, ran = (image_job(jobyard, name, tag) for name in ("tested", "live", "only-ran"))
    stages = [
        {"name": "staging", "components": ["tested", "only-ran"]},
        {"name": "production", "components": ["live"]},
    ]
    jobyard.api("POST", "/projects/acme/pipelines", {"name": "tags", "stages": stages})
    digest = shelf.digest("tool", "1")
    deployed = jobyard.api("POST", f"{tested}/deploy", {"image": tag})["job"]["deployed"]
    assert (deployed["image"], deployed["digest"]) == (f"{shelf.host}/tool@{digest}", digest)
    assert run_of(jobyard, ran)["digest"] == digest
    with docker_client() as client:  # the tag moves on
        container = client.create_container("busybox:latest", ["true"])["Id"]
        client.commit(container, f"{shelf.host}/tool", "1")
        client.remove_container(container)
        client.push(f"{shelf.host}/tool", "1")
    forget(shelf.host)
    assert shelf.digest("tool", "1") != digest
    promotions = "/projects/acme/pipelines/tags/promotions"
    for component in ("tested", "only-ran"):
        made = jobyard.api("POST", promotions, {"from": component, "to": "live"})
        assert made["images"] == {"live": digest}
        run = run_of(jobyard, live)
        assert (run["status"], run["digest"]) == ("succeeded", digest), run
    refused = jobyard.request("POST", f"{tested}/deploy", json={"image": f"{shelf.host}/tool:none"})
    assert (refused.status_code, jobyard.api("GET", tested)["deployed"]["digest"]) == (422, digest)


def test_a_registry_that_never_answers_holds_nobody_up(jobyard: JobyardServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tag = f"127.0.0.1:{silent.getsockname()[1]}/tool:1"
        path = image_job(jobyard, "silent", tag)
        run = jobyard.api("POST", f"{path}/runs", {})
        with silent.accept()[0]:
            begun = time.monotonic()
            jobyard.api("POST", f"/runs/{run['id']}/cancel", {})
            over = jobyard.over(f"/runs/{run['id']}")
            assert (over["status"], over["reason"], over["attempts"]) == ("cancelled", "cancelled", 0)
            assert time.monotonic() - begun < 10
            begun = time.monotonic()
            refused = jobyard.request("POST", f"{path}/deploy", json={"image": tag})
            assert (refused.status_code, time.monotonic() - begun < 15) == (503, True), refused.text
            assert "so nothing was changed: try again" in refused.json()["detail"]


def test_without_access_nothing_is_retried(jobyard: JobyardServer, private: Registry) -> None:
    path = image_job(jobyard, "no-access", f"{private.host}/team/tool:1")
    jobyard.api("PATCH", path, {"retry_limit": 3})
    run = run_of(jobyard, path)
    assert (run["status"], run["reason"], run["attempts"]) == ("failed", "image_unavailable", 0)
    assert run["sentence"] == (
        f"The registry gives no access to {private.host}/team/tool:1: check its name and the registry credential."
    )


def test_with_a_credential_the_image_is_had(jobyard: JobyardServer, private: Registry) -> None:
    fill(private, "team/tool:1", {"username": USER, "password": PASSWORD})
    give_login(jobyard, "theirs", private)
    path = image_job(jobyard, "with-access", f"{private.host}/team/tool:1", credential="theirs")
    run = run_of(jobyard, path)
    assert (run["status"], run["digest"]) == ("succeeded", private.digest("team/tool", "1")), run
    jobyard.api(
        "DELETE", path, confirm="with-access"
    )  # to others of the project the registry is closed again
    jobyard.api("DELETE", "/projects/acme/credentials/theirs", confirm="theirs")
    forget(private.host)


def test_an_image_that_does_not_exist_says_so(jobyard: JobyardServer, shelf: Registry) -> None:
    run = run_of(jobyard, image_job(jobyard, "missing", f"{shelf.host}/nothing:1"))
    assert (run["status"], run["reason"]) == ("failed", "image_unavailable")
    assert f"{shelf.host}/nothing:1" in run["sentence"]


def test_a_registry_that_is_away_is_asked_again(jobyard: JobyardServer, shelf: Registry) -> None:
    path = image_job(jobyard, "patient", f"{shelf.host}/tool:1")
    shelf.stop()
    run = jobyard.api("POST", f"{path}/runs", {})
    waiting = jobyard.wait_for(
        "a sentence", lambda: (now := jobyard.api("GET", f"/runs/{run['id']}"))["sentence"] and now
    )
    assert (waiting["status"], waiting["attempts"]) == ("queued", 0)
    assert "refuses the connection" in waiting["sentence"]
    shelf.start()
    assert jobyard.over(f"/runs/{run['id']}")["status"] == "succeeded"


def test_a_built_image_is_pushed_and_run_by_digest(
    pushing: JobyardServer, private: Registry, host: Callable[[JobyardServer], HostedJob]
) -> None:
    hosted = host(pushing)
    hosted.job()
    push = hosted.push({"Dockerfile": SPEAKS.format("pushed")})
    run = hosted.ran(push)
    (build,) = hosted.builds()
    name = f"team/acme/{hosted.name}"
    digest = private.digest(name, push.sha)
    assert (build["image"], build["digest"]) == (f"{private.host}/{name}@{digest}", digest)
    assert (run["image"], run["digest"]) == (build["image"], digest)
    assert pushing.log_of(run) == "pushed\n"
    log = pushing.text(f"/builds/{build['id']}/logs")
    assert f"Pushing to {private.host}/{name}:{push.sha}" in log
    assert PASSWORD not in log
    assert pushing.api("GET", hosted.path)["deployed"]["digest"] == digest


def test_an_image_that_the_engine_lost_is_pulled_again(
    pushing: JobyardServer, private: Registry, host: Callable[[JobyardServer], HostedJob]
) -> None:
    hosted = host(pushing)
    hosted.job()
    first = hosted.ran(hosted.push({"Dockerfile": SPEAKS.format("again")}))
    with docker_client() as client:
        client.remove_image(client.inspect_image(first["image"])["Id"], force=True)
    again = pushing.over(f"/runs/{hosted.start()['id']}")
    assert (again["status"], again["digest"]) == ("succeeded", first["digest"]), again
    assert pushing.log_of(again) == "again\n"


def test_a_rollback_pulls_what_the_engine_lost_or_changes_nothing(
    pushing: JobyardServer, private: Registry, host: Callable[[JobyardServer], HostedJob]
) -> None:
    hosted = host(pushing)
    hosted.job(run_on_image_change="never")
    app = f"/projects/acme/apps/{hosted.name}-app"
    pushing.api("POST", "/projects/acme/apps", {"name": f"{hosted.name}-app", "jobs": [hosted.name]})
    images = []
    for word in ("first", "second"):
        pushing.settled(hosted.push({"Dockerfile": SPEAKS.format(word)}))
        over = pushing.over(f"/deployments/{pushing.items(f'{app}/deployments')[0]['id']}")
        assert over["status"] == "succeeded", over
        images.append(pushing.api("GET", hosted.path)["deployed"]["image"])
    earlier = pushing.items(f"{app}/deployments")[1]["id"]
    with docker_client() as client:
        client.remove_image(client.inspect_image(images[0])["Id"], force=True)
    pushing.api("DELETE", "/projects/acme/credentials/images", confirm="images")
    refused = pushing.request("POST", f"/deployments/{earlier}/rollback", json={})
    assert refused.status_code == 409, refused.text
    assert "so nothing was changed. The registry gives no access to" in refused.json()["detail"]
    assert len(pushing.items(f"{app}/deployments")) == 2
    assert pushing.api("GET", hosted.path)["deployed"]["image"] == images[1]
    give_login(pushing, "images", private)
    back = pushing.over(f"/deployments/{pushing.api('POST', f'/deployments/{earlier}/rollback', {})['id']}")
    assert back["status"] == "succeeded", back
    assert pushing.api("GET", hosted.path)["deployed"]["image"] == images[0]
    with docker_client() as client:
        assert client.inspect_image(images[0])


def test_a_push_that_is_refused_fails_the_build(
    pushing: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    hosted = host(pushing)
    pushing.api("POST", "/projects", {"name": "stranger", "webhook_secret": SECRET})
    path = "/projects/stranger/jobs"
    source = {"type": "git", "git": {"url": hosted.url}, "build": {}}
    pushing.api("POST", path, {"name": hosted.name, "source": source})
    push = hosted.push({"Dockerfile": SPEAKS.format("never")})
    build = pushing.built(push)
    assert (build["status"], build["reason"]) == ("failed", "push_failed")
    assert build["sentence"].startswith("The image could not be pushed to ")
    assert build["sentence"] in pushing.text(f"/builds/{build['id']}/logs")
    assert pushing.api("GET", f"{path}/{hosted.name}")["deployed"] is None


def test_a_base_image_is_pulled_with_the_projects_credential(
    pushing: JobyardServer, distant: str, host: Callable[[JobyardServer], HostedJob]
) -> None:
    """And with no other project's: the same push can't be built there, although both builds begin at once."""
    hosted = host(pushing)
    hosted.job()
    pushing.api("POST", "/projects", {"name": "without", "webhook_secret": SECRET})
    source = {"type": "git", "git": {"url": hosted.url}, "build": {}}
    pushing.api("POST", "/projects/without/jobs", {"name": hosted.name, "source": source})
    login = {"kind": "registry", "username": USER, "secret": PASSWORD, "host": distant}
    pushing.api("POST", "/projects/acme/credentials", {**login, "name": "far"})
    base = f"{distant}/team/base:1"
    push = hosted.push({"Dockerfile": f'FROM {base}\nCMD ["echo", "based"]\n'})
    pushing.settled(push)
    (build,) = hosted.builds()
    (other,) = pushing.items(f"/projects/without/jobs/{hosted.name}/builds")
    built, refused = (pushing.over(f"/builds/{each['id']}") for each in (build, other))
    assert built["status"] == "succeeded", built
    assert (refused["status"], refused["reason"]) == ("failed", "build_failed")
    assert refused["sentence"] == (
        f"The registry gives no access to the base image {base}:"
        f" check its name and the registry credential for {distant}."
    )
    logs = [pushing.text(f"/builds/{each['id']}/logs") for each in (built, refused)]
    assert all(PASSWORD not in log for log in logs)
    assert pushing.log_of(pushing.over(f"/runs/{hosted.start()['id']}")) == "based\n"
