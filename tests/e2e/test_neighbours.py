"""Two projects on one engine that try to read and to change what is the other's, and each its own."""

from __future__ import annotations

import http.server
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.repositories import Repository
from tests.support.server import SECRET, JobyardServer, Json, docker_client

READS = ["cat", "/secret"]


@dataclass
class Tenant:
    """A project with a repository for each of its jobs."""

    server: JobyardServer
    project: str
    root: Path

    def build(self, job: str, dockerfile: str, **fields: Any) -> Json:
        """The build of a new job's first commit, once it is over."""
        repository = Repository(self.root / self.project / job)
        repository.commit({"Dockerfile": dockerfile})
        self.server.make_job(job, repository.url, project=self.project, run_on_image_change="never", **fields)
        build = self.server.api("POST", f"/projects/{self.project}/jobs/{job}/builds", {})
        return self.server.over(f"/builds/{build['id']}")

    def output(self, job: str, dockerfile: str) -> str:
        """What an image that is built from it prints."""
        build = self.build(job, dockerfile)
        assert build["status"] == "succeeded", self.log(build)
        run = self.server.api("POST", f"/projects/{self.project}/jobs/{job}/runs", {})
        run = self.server.over(f"/runs/{run['id']}")
        assert run["status"] == "succeeded", run
        return self.server.log_of(run)

    def log(self, build: Json) -> str:
        return self.server.text(f"/builds/{build['id']}/logs")

    def job_of(self, image: str) -> Any:
        name = f"job-{uuid.uuid4().hex[:8]}"
        source = {"type": "image", "image": image}
        job = {"name": name, "source": source, "command": READS}
        return self.server.request("POST", f"/projects/{self.project}/jobs", json=job)

    def run_of(self, image: str) -> Json:
        """A run of the image by a new job, once it is over."""
        answer = self.job_of(image)
        assert answer.status_code == 201, answer.text
        run = self.server.api("POST", f"/projects/{self.project}/jobs/{answer.json()['name']}/runs", {})
        return self.server.over(f"/runs/{run['id']}")

    def why_it_waits(self, image: str) -> str:
        """What is said of a run whose image can't be had for now."""
        job = self.job_of(image).json()["name"]
        run = self.server.api("POST", f"/projects/{self.project}/jobs/{job}/runs", {})
        path = f"/runs/{run['id']}"
        waiting = self.server.wait_for("a sentence", lambda: self.server.api("GET", path)["sentence"])
        self.server.api("POST", f"{path}/cancel")
        assert self.server.over(path)["attempts"] == 0
        return str(waiting)


@pytest.fixture
def alpha(jobyard: JobyardServer, tmp_path: Path) -> Tenant:
    return _tenant(jobyard, "alpha", tmp_path)


@pytest.fixture
def bravo(jobyard: JobyardServer, tmp_path: Path) -> Tenant:
    return _tenant(jobyard, "bravo", tmp_path)


def _tenant(server: JobyardServer, kind: str, root: Path) -> Tenant:
    project = f"{kind}-{uuid.uuid4().hex[:8]}"
    server.api("POST", "/projects", {"name": project, "webhook_secret": SECRET})
    return Tenant(server, project, root)


def names_of(build: Json) -> list[str]:
    """What the engine has the image of a build by; two names while it is given another one."""
    with docker_client() as client:
        return [str(name) for name in client.inspect_image(build["digest"])["RepoTags"]]


def name_of(build: Json) -> str:
    (name,) = names_of(build)
    return name


def test_an_image_is_its_projects_alone(jobyard: JobyardServer, alpha: Tenant, bravo: Tenant) -> None:
    word = uuid.uuid4().hex
    build = alpha.build("secret", f"FROM busybox:latest\nRUN echo {word} > /secret\n")
    name, digest = name_of(build), build["digest"]
    guessable = f"{name.partition(':')[0]}:build-{build['id']}"
    assert name.startswith(f"{guessable}-")

    for image in (name, digest):
        run = alpha.run_of(image)
        assert (run["status"], run["digest"]) == ("succeeded", digest)
        assert jobyard.log_of(run) == f"{word}\n"
    assert alpha.output("upon", f'FROM {name}\nCMD ["cat", "/secret"]\n') == f"{word}\n"

    whole, part = digest.removeprefix("sha256:"), digest.removeprefix("sha256:")[:12]
    for image in (name, guessable, f"docker.io/library/{name}", f"localhost/{name}", digest, whole, part):
        assert bravo.job_of(image).status_code == 422, image
    assert "the engine has no such image" in bravo.why_it_waits(part[:6])  # which the engine would complete
    with docker_client() as client:  # a name that says nothing of whose the image is
        client.tag(digest, alias := f"alias-{word}", "1")
        try:
            run = bravo.run_of(f"{alias}:1")
        finally:
            client.remove_image(f"{alias}:1")
    assert (run["status"], run["reason"], run["attempts"]) == ("failed", "image_unavailable", 0)
    assert run["sentence"] == f"image must not be {alias}:1, which is not an image of this project."
    assert bravo.run_of("busybox:latest")["reason"] == "exit_nonzero"  # it runs, and has no such file

    stealing = (
        f"FROM {name}\n",
        f"FROM busybox:latest\nCOPY --from={guessable} /secret /\n",
        f"ARG A=jobyard-\nARG B={name.removeprefix('jobyard-')}\nFROM ${{A}}${{B:-x}}\n",
        f"FROM busybox:latest\nRUN --mount=type=bind,from=docker.io/library/{name},target=/m cat /m/secret\n",
        "# syntax=example.com/other/frontend:1\nFROM busybox:latest\n",
    )
    for number, dockerfile in enumerate(stealing):
        refused = bravo.build(f"steal-{number}", dockerfile)
        assert (refused["status"], refused["reason"]) == ("failed", "build_failed"), refused
        assert refused["sentence"].startswith("The Dockerfile's "), refused
        assert word not in bravo.log(refused)


def test_an_image_of_an_earlier_release_loses_the_name_that_others_could_guess(
    jobyard: JobyardServer, alpha: Tenant
) -> None:
    word = uuid.uuid4().hex
    build = alpha.build("secret", f"FROM busybox:latest\nRUN echo {word} > /secret\n")
    name, image = name_of(build), build["digest"]
    guessable = f"{name.partition(':')[0]}:build-{build['id']}"
    with docker_client() as client:
        client.tag(image, *guessable.split(":"))
        client.remove_image(name)  # as if an earlier release had built it
    jobyard.restart()
    jobyard.wait_for("another name", lambda: guessable not in names_of(build))
    assert name_of(build).startswith(f"{guessable}-")
    run = alpha.run_of(image)
    assert (run["status"], jobyard.log_of(run)) == ("succeeded", f"{word}\n")


def test_caches_and_results_of_steps_are_a_projects_alone(alpha: Tenant, bravo: Tenant) -> None:
    mark = uuid.uuid4().hex
    mount = f"--mount=type=cache,id={mark},target=/m"
    asked = f'FROM busybox:latest\nRUN {mount} cat /m/* > /seen || true\nCMD ["cat", "/seen"]\n'
    filled = alpha.build("fill", f"FROM busybox:latest\nRUN {mount} echo genuine > /m/lib\n")
    assert filled["status"] == "succeeded", alpha.log(filled)
    assert bravo.output("look", asked) == ""
    assert alpha.output("look", asked) == "genuine\n"
    poisoned = bravo.build("poison", f"FROM busybox:latest\nRUN {mount} echo poisoned > /m/lib\n")
    assert poisoned["status"] == "succeeded", bravo.log(poisoned)
    assert alpha.output("again", f"{asked}# again\n") == "genuine\n"

    step = (
        f'FROM busybox:latest\nRUN cat /proc/sys/kernel/random/uuid > /made # {mark}\nCMD ["cat", "/made"]\n'
    )
    made = alpha.output("first", step)
    assert alpha.output("second", step) == made
    assert bravo.output("third", step) != made


@contextmanager
def answering(body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that is no registry, and what it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(404)
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_another_server_answers_is_not_shown(bravo: Tenant) -> None:
    with answering(b"internal-secret") as (host, paths):
        waiting = bravo.why_it_waits(f"{host}/any/path:1")
        built = bravo.build("based", f"FROM {host}/any/path:1\n")
    assert "answers, but not as a registry does" in waiting
    for text in (waiting, built["sentence"], bravo.log(built)):
        assert "internal-secret" not in text
    assert set(paths) <= {"/v2/", "/v2/any/path/manifests/1"}


def test_a_link_local_registry_is_never_asked(bravo: Tenant) -> None:
    for host in ("169.254.169.254", "2852039166:80", "0xa9fea9fe:80"):
        refused = bravo.job_of(f"{host}/latest/meta-data:1")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "source.image"), (
            refused.text
        )
    built = bravo.build("meta", "ARG HOST=2852039166\nFROM ${HOST}:80/latest/meta-data:1\n")
    assert (built["status"], built["reason"]) == ("failed", "build_failed")
    assert "link-local address 169.254.169.254" in built["sentence"]
