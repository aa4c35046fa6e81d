"""A release flow on the real engine: build, run, approval, message."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.hosted import HostedJob
from tests.support.receiver import SECRET, receiver
from tests.support.server import JobyardServer

DOCKERFILE = 'FROM busybox:latest\nCMD ["sh", "-c", "echo checked as $WHO"]\n'


@pytest.fixture
def chat() -> Iterator[tuple[str, list[Any]]]:
    with receiver(200) as made:
        yield made


def test_from_a_build_to_a_message(
    jobyard: JobyardServer, hosted: HostedJob, chat: tuple[str, list[Any]]
) -> None:
    channel, taken = chat
    hosted.job(run_on_image_change="never")
    hosted.repository.commit({"Dockerfile": DOCKERFILE}, "Check something")
    nodes = [
        {"name": "image", "type": "build", "job": hosted.name},
        {"name": "check", "type": "run", "job": hosted.name, "overrides": {"env": {"WHO": "release"}}},
        {"name": "ready", "type": "approval"},
        {"name": "done", "type": "message", "message": "Released.", "url": channel},
    ]
    made = jobyard.api("POST", "/projects/acme/flows", {"name": hosted.name, "nodes": nodes})
    assert made["warnings"] == []
    started = jobyard.api("POST", f"/projects/acme/flows/{hosted.name}/runs", {"sha": hosted.repository.head})
    where = f"/flows/runs/{started['id']}"

    def asks() -> Any:
        run = jobyard.api("GET", where)
        assert run["status"] in ("queued", "running"), run
        return run if run["nodes"][2]["status"] == "running" else None

    run = jobyard.wait_for("the flow asks", asks)
    assert [node["status"] for node in run["nodes"]] == ["succeeded", "succeeded", "running", "waiting"]
    checked = jobyard.api("GET", f"/runs/{run['nodes'][1]['run']}")
    assert (checked["sha"], checked["trigger"]["type"]) == (hosted.repository.head, "flow")
    assert jobyard.log_of(checked) == "checked as release\n"
    jobyard.api("POST", f"{where}/nodes/ready/approve")
    run = jobyard.over(where)
    said = [line.split(" ", 1)[1] for line in run["nodes"][3]["log"]]
    assert (run["status"], said) == ("succeeded", ["Released.", "The address took it with status 200."])
    assert [body for _, body, _ in taken] == [{"text": "Released."}]
    shown = jobyard.text(f"/projects/acme/flows/{hosted.name}") + jobyard.text(where)
    assert SECRET not in shown + jobyard.log
