"""A push whose runs are on the nodes of a Swarm, of which one dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.engines.docker.request import INSTALLATION_LABEL
from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, Json, jobyard_server
from tests.support.swarm_harness import REGISTRY, Swarm, swarm

pytestmark = pytest.mark.xdist_group("swarm")
SPEAKS = (
    'FROM busybox:latest\nCMD ["sh", "-c", "echo from a node; test -z $HOLD || sleep $HOLD; echo done"]\n'
)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Swarm]:
    with swarm() as made:
        yield made


@pytest.fixture
def server(nodes: Swarm, tmp_path: Path) -> Iterator[JobyardServer]:
    settings = {
        "engine": "swarm",
        "docker_host": nodes.url(1),
        "registry": f"{REGISTRY}/team",
        "plans": "tiny=0.1:64",
    }
    with jobyard_server(tmp_path / "data", **settings) as server:
        yield server


def containers(server: JobyardServer, run: Json) -> list[Json]:
    """Those of all attempts, with the number of theirs."""
    attempts = server.api("GET", f"/runs/{run['id']}/attempts")["items"]
    return [{**each, "attempt": one["number"]} for one in attempts for each in one["containers"]]


def services(nodes: Swarm, server: JobyardServer) -> list[str]:
    label = f"{INSTALLATION_LABEL}={server.installation}"
    with closing(nodes.client()) as client:
        return [each["ID"] for each in client.services(filters={"label": label})]


def test_runs_are_spread_over_the_nodes_and_survive_the_death_of_one(
    nodes: Swarm, server: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    job.job(
        run_on_image_change="always", plan="tiny", retry_limit=2, retry_backoff="none", grace_period_seconds=1
    )
    first = job.ran(job.push({"Dockerfile": SPEAKS}))
    assert (first["status"], first["exit_code"]) == ("succeeded", 0)
    assert server.log_of(first) == "from a node\ndone\n"
    assert f"{REGISTRY}/team/" in first["image"]

    runs = [job.start(env={"HOLD": "12"}) for _ in range(6)]

    def places() -> dict[str, str]:
        return {run["id"]: each["node"] for run in runs for each in containers(server, run) if each["node"]}

    server.wait_for("all have begun", lambda: len(places()) == len(runs))
    assert set(places().values()) == {nodes.name(number) for number in nodes.numbers}
    hit = {run for run, node in places().items() if node == nodes.name(3)}
    nodes.kill(3)
    ended = [server.over(f"/runs/{run['id']}") for run in runs]
    assert {run["status"] for run in ended} == {"succeeded"}
    assert {run["id"] for run in ended if run["attempts"] > 1} == hit
    for run in ended:
        last, *lost = server.api("GET", f"/runs/{run['id']}/attempts")["items"]
        assert all(nodes.name(3) in each["sentence"] for each in lost)
        assert last["containers"][0]["node"] != nodes.name(3)
        assert "from a node" in server.log_of(run)
    nodes.repair(3)


def test_a_killed_server_goes_on_with_what_runs(
    nodes: Swarm, server: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    job.job(run_on_image_change="never", plan="tiny", grace_period_seconds=1)
    server.built(job.push({"Dockerfile": SPEAKS}))
    run = job.start(env={"HOLD": "3"})
    server.wait_for("the log", lambda: "from a node" in server.log_of(run))
    (service,) = services(nodes, server)
    server.kill()
    server.start()
    ended = server.over(f"/runs/{run['id']}")
    assert (ended["status"], ended["attempts"]) == ("succeeded", 1)
    assert server.log_of(run) == "from a node\ndone\n"
    server.wait_for("the service is gone", lambda: service not in services(nodes, server))


def test_a_run_that_no_node_has_room_for_says_so_and_can_be_cancelled(
    nodes: Swarm, server: JobyardServer, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    job.job(run_on_image_change="never", plan="xlarge")
    server.built(job.push({"Dockerfile": SPEAKS}))
    run = job.start()

    def waits() -> bool:
        return "no suitable node" in server.api("GET", f"/runs/{run['id']}")["sentence"]

    server.wait_for("the sentence", waits)
    server.api("POST", f"/runs/{run['id']}/cancel")
    assert server.over(f"/runs/{run['id']}")["status"] == "cancelled"
    server.wait_for("the service is gone", lambda: services(nodes, server) == [])
