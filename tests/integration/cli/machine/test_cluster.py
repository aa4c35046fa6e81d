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


def test_without_a_registry_no_server_starts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBYARD_REGISTRY")
    assert cli("serve").err == (
        "jobyard: JOBYARD_ENGINE=kubernetes needs JOBYARD_REGISTRY: nodes pull the images of builds from there, such as"
        " registry.example.com/team.\n"
    )
