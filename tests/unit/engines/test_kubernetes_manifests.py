"""What a cluster is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.job.spec import Hardening
from app.engines.base import ContainerSpec, RegistryLogin, StartRefused
from app.engines.kubernetes import manifests
from app.engines.kubernetes.manifests import ImageFacts, Place

PLACE = Place("runs", "3f9a1c07")
IMAGE = "registry.example/app@sha256:" + "a" * 64
SPEC = ContainerSpec(IMAGE, env={"TOKEN": "a secret"}, labels={"jobyard.run": "report-abc"})
VERSIONS = ["1.31", "1.34", "1.37"]


def pod_of(spec: ContainerSpec, image: ImageFacts | None = None) -> dict[str, Any]:
    made = manifests.job(spec, PLACE, "report-abc.1", image or ImageFacts(), None)
    pod: dict[str, Any] = made["spec"]["template"]["spec"]
    return pod


def container_of(spec: ContainerSpec, image: ImageFacts | None = None) -> dict[str, Any]:
    container: dict[str, Any] = pod_of(spec, image)["containers"][0]
    return container


class TestSchemas:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        "spec",
        [
            SPEC,
            replace(SPEC, command=("a", "b"), entrypoint=("c",), disk_bytes=1 << 30),
            replace(SPEC, hardening=Hardening(non_root=True, read_only=True)),
        ],
    )
    def test_hold_every_object(self, version: str, spec: ContainerSpec) -> None:
        image = ImageFacts("", ("/data",))
        for made in (
            manifests.job(spec, replace(PLACE, epoch="later"), "report-abc.1", image, 1080),
            manifests.secret(spec, PLACE, "jy-report-abc-1", "a uid"),
        ):
            kubernetes_validate.validate(made, version, strict=True)

    def test_would_find_a_wrong_field(self) -> None:
        made = manifests.job(SPEC, PLACE, "report-abc.1", ImageFacts(), None)
        made["spec"]["retries"] = 1
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(made, VERSIONS[0], strict=True)


class TestName:
    @given(st.text(max_size=300))
    def test_is_one_that_an_object_may_have(self, key: str) -> None:
        name = manifests.job_name(PLACE, key, {})
        assert len(name) <= 55  # a Job's pods have six characters more, and at most 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name[-1] != "-"

    def test_is_the_same_for_the_same_request_only(self) -> None:
        wanted = (PLACE, "a", {"run": "1"})
        others = [
            (replace(PLACE, installation="another"), "a", {"run": "1"}),
            (replace(PLACE, epoch="later"), "a", {"run": "1"}),
            (PLACE, "b", {"run": "1"}),
            (PLACE, "a", {"run": "2"}),
        ]
        assert manifests.job_name(*wanted) == manifests.job_name(*wanted)
        assert len({manifests.job_name(*each) for each in (wanted, *others)}) == 5


class TestJob:
    def test_begins_suspended_and_is_tried_once(self) -> None:
        spec = manifests.job(SPEC, PLACE, "report-abc.1", ImageFacts(), 1080)["spec"]
        assert (spec["suspend"], spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (
            True,
            0,
            1,
            1,
        )
        assert (spec["activeDeadlineSeconds"], spec["template"]["spec"]["restartPolicy"]) == (1080, "Never")

    def test_has_no_backstop_where_a_run_has_no_time_limit(self) -> None:
        assert "activeDeadlineSeconds" not in manifests.job(SPEC, PLACE, "a", ImageFacts(), None)["spec"]

    def test_holds_no_variable(self) -> None:
        assert "a secret" not in json.dumps(manifests.job(SPEC, PLACE, "a", ImageFacts(), None))
        secret = manifests.secret(SPEC, PLACE, "jy-a", "a uid")
        assert secret["stringData"] == {"TOKEN": "a secret"}
        assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == ["a uid"]

    def test_pod_is_labelled_as_its_job(self) -> None:
        made = manifests.job(SPEC, PLACE, "a", ImageFacts(), None)
        labels = made["metadata"]["labels"]
        assert labels == made["spec"]["template"]["metadata"]["labels"]
        assert manifests.selector(PLACE, "a") == ",".join(f"{name}={value}" for name, value in labels.items())


@pytest.mark.parametrize(
    ("entrypoint", "command", "told"),
    [
        (None, None, {}),
        (None, ("a", "b"), {"args": ["a", "b"]}),
        (("x",), None, {"command": ["x"]}),
        (("x",), ("a",), {"command": ["x", "a"]}),
        ((), ("a",), {"command": ["a"]}),
        (None, ("$(HOME)", "$$", "$"), {"args": ["$$(HOME)", "$$$$", "$$"]}),
    ],
)
def test_argv(
    entrypoint: tuple[str, ...] | None, command: tuple[str, ...] | None, told: dict[str, list[str]]
) -> None:
    container = container_of(replace(SPEC, entrypoint=entrypoint, command=command))
    assert {name: container[name] for name in ("command", "args") if name in container} == told


def test_neither_entrypoint_nor_command_is_refused() -> None:
    with pytest.raises(StartRefused, match="The entrypoint is empty and there is no command"):
        pod_of(replace(SPEC, entrypoint=()))


def test_a_plan_is_what_a_container_gets_at_least_and_at_most() -> None:
    resources = container_of(replace(SPEC, cpus=0.25, memory_bytes=64 << 20, disk_bytes=1 << 30))["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"] == {
        "cpu": "250m",
        "memory": str(64 << 20),
        "ephemeral-storage": str(1 << 30),
    }


class TestHardening:
    def test_always(self) -> None:
        security = container_of(SPEC)["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "runAsUser" not in security
        assert pod_of(SPEC)["automountServiceAccountToken"] is False

    @pytest.mark.parametrize("user", ["", "root", "0", "0:0"])
    def test_non_root_is_nobody_where_the_image_says_root(self, user: str) -> None:
        spec = replace(SPEC, hardening=Hardening(non_root=True))
        security = container_of(spec, ImageFacts(user))["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (
            True,
            65534,
            65534,
        )

    def test_non_root_leaves_the_image_its_own_user(self) -> None:
        spec = replace(SPEC, hardening=Hardening(non_root=True))
        security = container_of(spec, ImageFacts("1000:1000"))["securityContext"]
        assert security["runAsNonRoot"] is True
        assert "runAsUser" not in security

    def test_non_root_needs_a_number(self) -> None:
        with pytest.raises(StartRefused, match="The image runs as user app, and non_root needs a number"):
            pod_of(replace(SPEC, hardening=Hardening(non_root=True)), ImageFacts("app"))

    def test_read_only_leaves_volumes_in_memory(self) -> None:
        spec = replace(SPEC, hardening=Hardening(read_only=True), memory_bytes=100)
        pod = pod_of(spec, ImageFacts("", ("/data/",)))
        assert [each["mountPath"] for each in pod["containers"][0]["volumeMounts"]] == ["/data", "/tmp"]
        assert [each["emptyDir"] for each in pod["volumes"]] == [{"medium": "Memory", "sizeLimit": "50"}] * 2


def test_a_login_is_for_nodes_alone() -> None:
    spec = replace(SPEC, login=RegistryLogin("acme", "registry password"))
    secret = manifests.pull_secret(spec, PLACE, "jy-a", "a uid")
    assert secret is not None
    kubernetes_validate.validate(secret, VERSIONS[-1], strict=True)
    auths = json.loads(secret["stringData"][".dockerconfigjson"])["auths"]
    assert auths == {"registry.example": {"username": "acme", "password": "registry password"}}
    assert pod_of(spec)["imagePullSecrets"][0]["name"].endswith("-pull")
    assert "registry password" not in json.dumps(pod_of(spec))
    assert manifests.pull_secret(SPEC, PLACE, "jy-a", "a uid") is None
