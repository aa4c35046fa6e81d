"""The manifests for a cluster, as the real kubectl renders them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.config import Settings
from app.engines.kubernetes.permissions import NEEDED
from tests.support.project import ROOT

KUBECTL = Path(sys.executable).parent / "kubectl"
DEPLOY = ROOT / "scripts" / "deploy" / "kubernetes"
PLACES = ["base", "overlays/restricted"]


def rendered(place: str) -> list[dict[str, Any]]:
    argv = [KUBECTL, "kustomize", DEPLOY / place]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.37"])
@pytest.mark.parametrize("place", PLACES)
def test_are_of_the_published_schemas(place: str, version: str) -> None:
    for each in rendered(place):
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("place", PLACES)
def test_are_of_one_namespace(place: str) -> None:
    namespace = Settings.model_fields["kubernetes_namespace"].default
    found = rendered(place)
    assert {each["metadata"].get("namespace") for each in found if each["kind"] != "Namespace"} == {namespace}
    assert [each["kind"] for each in found if each["kind"].startswith("Cluster")] == []


def test_roles_grant_just_what_the_server_asks_for() -> None:
    rules = [rule for each in rendered("base") if each["kind"] == "Role" for rule in each["rules"]]
    granted = [
        (verb, resource, group)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    wanted = [
        (each.verb, "/".join(filter(None, (each.resource, each.subresource))), each.group) for each in NEEDED
    ]
    assert sorted(granted) == sorted(wanted)
