"""What goes wrong between a push and its run is one clear sentence where a user looks, and the server goes on."""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.git_server import git_server
from tests.support.hosted import HostedJob
from tests.support.payloads import encode, push_headers
from tests.support.server import SECRET, JobyardServer, free_port, jobyard_server

GOOD = {"main.py": "print('good')\n"}


@pytest.fixture(autouse=True)
def _goes_on(jobyard: JobyardServer) -> Any:
    """Whatever a test does, afterwards the same server answers without having met a fault of its own."""
    pid = jobyard.pid
    yield
    assert jobyard.http.get("/healthz").status_code == 200
    assert jobyard.pid == pid
    assert "Traceback" not in jobyard.log


def failed(hosted: HostedJob, push: Any, reason: str) -> Any:
    """The build that the push caused; its log ends with its sentence, and neither delivery nor decision is lost."""
    build = hosted.server.built(push)
    assert (build["status"], build["reason"]) == ("failed", reason), build
    assert hosted.server.text(f"/builds/{build['id']}/logs").splitlines()[-1] == build["sentence"]
    assert hosted.server.settled(push)["status"] == "processed"
    assert hosted.decision(push)["build"] == build["id"]
    assert hosted.runs() == []
    return build


def test_a_dockerfile_that_fails(hosted: HostedJob) -> None:
    hosted.job()
    dockerfile = "FROM busybox:latest\nRUN echo looking; cat /nowhere\n"
    build = failed(hosted, hosted.push({"Dockerfile": dockerfile}), "build_failed")
    assert "cat /nowhere" in build["sentence"]
    assert "\n" not in build["sentence"]
    assert "can't open '/nowhere'" in hosted.server.text(f"/builds/{build['id']}/logs")
    assert hosted.server.log_of(hosted.ran(hosted.push({**GOOD, "Dockerfile": None}))) == "good\n"


def test_a_repository_nobody_recognises(hosted: HostedJob) -> None:
    hosted.job()
    build = failed(hosted, hosted.push({"notes.txt": "hello"}), "not_recognised")
    assert build["sentence"].startswith("Nothing here says how to build this: looked for a Dockerfile")
    assert "found notes.txt" in build["sentence"]


def test_a_commit_that_is_not_there(hosted: HostedJob) -> None:
    hosted.job()
    hosted.repository.commit(GOOD)
    push = hosted.send(changes={"after": "1" * 40})
    build = hosted.server.built(push)
    assert (build["status"], build["reason"]) == ("failed", "source_unavailable")
    assert "1111111" in build["sentence"]
    assert hosted.url in build["sentence"]


def test_a_git_server_that_cannot_be_reached(
    jobyard: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    """Tried again for a while; the build waits in the queue and says why, and the log too."""
    hosted = host(jobyard)
    hosted.url = f"http://127.0.0.1:{free_port()}/gone"
    hosted.job()
    push = hosted.push(GOOD)
    jobyard.settled(push)
    number = hosted.decision(push)["build"]

    def probe() -> Any:
        build = jobyard.api("GET", f"/builds/{number}")
        return build if build["sentence"] else None

    build = jobyard.wait_for("the build says why it waits", probe)
    assert hosted.url in build["sentence"]
    assert build["sentence"] in jobyard.text(f"/builds/{number}/logs")
    assert build["status"] in ("queued", "running", "failed")
    if build["status"] != "failed":
        jobyard.api("POST", f"/builds/{number}/cancel")
        assert jobyard.over(f"/builds/{number}")["status"] == "cancelled"


def test_a_git_server_that_comes_back(
    jobyard: JobyardServer, host: Callable[[JobyardServer], HostedJob], tmp_path: Path
) -> None:
    hosted = host(jobyard)
    with git_server(hosted.repository.path.parent) as flaky:
        hosted.url = flaky.url(hosted.name)
        hosted.job()
        flaky.mode = "error"
        push = hosted.push(GOOD)
        number = jobyard.wait_for("its build", lambda: hosted.builds() and hosted.builds()[0]["id"])
        jobyard.wait_for("a try", lambda: jobyard.api("GET", f"/builds/{number}")["sentence"])
        flaky.mode = "serve"
        assert jobyard.log_of(hosted.ran(push)) == "good\n"


def test_a_delivery_with_the_wrong_secret(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    push = hosted.push(GOOD, secret="not the secret")
    assert push.status == 401
    assert push.body["detail"] == (
        "No repository with this webhook secret: check the secret on both sides (X-Hub-Signature-256 is needed)."
    )
    assert jobyard.request("GET", f"/deliveries/{push.delivery}").status_code == 404
    assert hosted.builds() == []
    assert jobyard.log_of(hosted.ran(hosted.send())) == "good\n"


def test_a_body_cut_short(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    body = encode({"ref": "refs/heads/main"})
    connection = http.client.HTTPConnection("127.0.0.1", jobyard.port, timeout=20)
    headers = push_headers(SECRET.encode(), body, "cut-short") | {"Content-Length": str(len(body) + 100)}
    connection.request("POST", "/webhooks/github", body, headers)
    connection.close()
    told = f"A webhook call broke off after {len(body)} of {len(body) + 100} bytes"
    jobyard.wait_for("the server's log tells of it", lambda: told in jobyard.log)
    assert jobyard.request("GET", "/deliveries/cut-short").status_code == 404
    signed_for_more = push_headers(SECRET.encode(), body, "cut-short")
    answer = jobyard.http.post("/webhooks/github", content=body[:-1], headers=signed_for_more)
    assert answer.status_code == 401
    assert jobyard.log_of(hosted.ran(hosted.push(GOOD))) == "good\n"


def test_a_body_over_25_mebibytes(jobyard: JobyardServer) -> None:
    """Refused by its declared length: none of it is read."""
    headers = {"Content-Length": str(25 * 1024 * 1024 + 1)}
    connection = http.client.HTTPConnection("127.0.0.1", jobyard.port, timeout=20)
    connection.request("POST", "/webhooks/github", None, headers)
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["detail"]) == (413, "The body is over the limit of 25 MiB.")
    connection.close()


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b"{}", b'{"ref": 7, "repository": {}}', b"\xff\xfe"]
)
def test_a_body_that_is_no_push(jobyard: JobyardServer, hosted: HostedJob, body: bytes) -> None:
    hosted.job()
    answer = jobyard.http.post(
        "/webhooks/github", content=body, headers=push_headers(SECRET.encode(), body, "nonsense")
    )
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_engine_that_is_down(tmp_path: Path, host: Callable[[JobyardServer], HostedJob]) -> None:
    """Deliveries are taken and decided; the build waits, with a sentence that says what to do."""
    with jobyard_server(tmp_path / "data", docker_host=f"unix://{tmp_path}/nobody.sock") as server:
        hosted = host(server)
        hosted.job()
        assert server.http.get("/readyz").status_code == 503
        server.wait_for("why", lambda: "does not answer" in server.http.get("/readyz").json()["detail"])
        push = hosted.push(GOOD)
        server.settled(push)
        path = f"/builds/{server.decisions(push)[0]['build']}"
        server.wait_for("the build says why", lambda: server.api("GET", path)["sentence"])
        build = server.api("GET", path)
        assert (build["status"], build["reason"]) == ("queued", None)
        assert "does not answer: start it" in build["sentence"]
        assert "Tried again in" in build["sentence"]
        assert server.http.get("/healthz").status_code == 200
        assert server.stop() < 15
