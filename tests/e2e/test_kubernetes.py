"""A push whose jobs run in a cluster: the double of one, whose pods are containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosted import HostedJob
from tests.support.kubeconfig import kubeconfig
from tests.support.kubernetes_double import Cluster
from tests.support.kubernetes_double.server import served
from tests.support.registry import registry
from tests.support.server import JobyardServer, jobyard_server

SPEAKS = 'FROM busybox:latest\nCMD ["sh", "-c", "echo from a pod; test -z $HOLD || sleep 1000"]\n'


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


@pytest.fixture
def server(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobyardServer]:
    with served(cluster) as url, registry(tmp_path / "registry") as made:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, url)))
        with jobyard_server(tmp_path / "data", engine="kubernetes", registry=f"{made.host}/team") as server:
            yield server


def test_is_built_pushed_and_run_there(
    server: JobyardServer, cluster: Cluster, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    job.job(run_on_image_change="always")
    run = job.ran(job.push({"Dockerfile": SPEAKS}))
    assert (run["status"], run["exit_code"]) == ("succeeded", 0)
    assert server.log_of(run) == "from a pod\n"
    assert "/team/acme/" in run["image"]


def test_a_run_that_no_node_has_room_for_says_so_and_can_be_cancelled(
    server: JobyardServer, cluster: Cluster, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    job.job(run_on_image_change="never")
    server.built(job.push({"Dockerfile": SPEAKS}))
    cluster.no_room = "0/1 nodes are available: 1 Insufficient memory."
    run = job.start()
    sentence = "No node can take the container: 0/1 nodes are available: 1 Insufficient memory."
    server.wait_for("the sentence", lambda: server.api("GET", f"/runs/{run['id']}")["sentence"] == sentence)
    server.api("POST", f"/runs/{run['id']}/cancel")
    assert server.over(f"/runs/{run['id']}", 20)["status"] == "cancelled"


def test_a_killed_server_goes_on_with_what_runs(
    server: JobyardServer, cluster: Cluster, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    job.job(run_on_image_change="never", grace_period_seconds=1)
    server.built(job.push({"Dockerfile": SPEAKS}))
    run = job.start(env={"HOLD": "1"})
    server.wait_for("the log", lambda: "from a pod" in server.log_of(run))
    server.kill()
    server.start()
    server.api("POST", f"/runs/{run['id']}/cancel")
    ended = server.over(f"/runs/{run['id']}")
    assert (ended["status"], ended["attempts"]) == ("cancelled", 1)
    assert server.log_of(run).count("from a pod") == 1
    posts = [path for method, path in cluster.requests if method == "POST" and path.endswith("/jobs")]
    assert len(posts) == 1
    server.wait_for("the Job is gone", lambda: cluster.objects.list("jobs")["items"] == [])
