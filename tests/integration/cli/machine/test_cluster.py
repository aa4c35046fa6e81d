"""`jobyard doctor` and `serve` where the engine is a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.kubeconfig import kubeconfig
from tests.support.kubernetes_double import Cluster
from tests.support.kubernetes_double.server import served


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_ENGINE", "kubernetes")
    monkeypatch.setenv("JOBYARD_REGISTRY", "registry.example.com/team")


def test_names_each_permission_that_is_missing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    with served(cluster) as url:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, url)))
        said = cli("doctor").out
        assert "kubernetes 1.34.3 answers." in said
        assert "This server may do in the namespace jobyard-runs what it has to." in said
        cluster.denied = {("get", "pods/log"), ("create", "jobs")}
        said = " ".join(cli("doctor").out.split())
        assert (
            "The Role of this server in the namespace jobyard-runs lacks: create jobs, get pods/log." in said
        )
    cluster.close()


def test_a_cluster_that_is_away_is_told_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "http://127.0.0.1:1")))
    said = " ".join(cli("doctor").out.split())
    assert said.count("The Kubernetes cluster does not answer: check the kubeconfig") == 1


@pytest.mark.parametrize("engine", ["swarm", "kubernetes"])
def test_without_a_registry_no_server_starts(cli: Cli, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setenv("JOBYARD_ENGINE", engine)
    monkeypatch.delenv("JOBYARD_REGISTRY")
    assert cli("serve").err == (
        f"jobyard: JOBYARD_ENGINE={engine} needs JOBYARD_REGISTRY: nodes pull the images of builds from there, such as"
        " registry.example.com/team.\n"
    )


def test_plans_for_nodes_with_labels_need_an_engine_that_has_nodes(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBYARD_PLANS", "gpu=8:16384@accelerator=gpu")
    assert "gpu=8:16384@accelerator=gpu" in cli("config").out
    monkeypatch.setenv("JOBYARD_ENGINE", "docker")
    assert cli("serve").err == (
        "jobyard: JOBYARD_PLANS: the plan gpu is for nodes with a label, and JOBYARD_ENGINE=docker has no nodes; leave"
        " out what follows @, or use swarm or kubernetes.\n"
    )


@pytest.mark.parametrize("plans", ["g=8:1@", "g=8:1@a", "g=8:1@a=", "g=8:1@a b=c", "g@a=b"])
def test_labels_of_plans_are_checked(cli: Cli, monkeypatch: pytest.MonkeyPatch, plans: str) -> None:
    monkeypatch.setenv("JOBYARD_PLANS", plans)
    assert "JOBYARD_PLANS is not usable" in cli("serve").err
    assert "huge=8:16384@disk=ssd for nodes with a label" in cli("serve").err
