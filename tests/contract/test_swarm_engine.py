"""What the Swarm engine does beyond the contract of all engines, on a real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.domain.errors import EngineUnavailable
from app.engines.base import ImageUnavailable, RegistryLogin
from app.engines.fake import Script
from tests.support.registry import PASSWORD, USER
from tests.support.swarm_harness import CLOSED_REGISTRY, Swarm, SwarmHarness, swarm_harness


@pytest.fixture
def harness(swarm: Swarm) -> Iterator[SwarmHarness]:
    with swarm_harness(swarm) as made:
        yield made


def test_nodes_pull_with_the_log_in_of_the_run(swarm: Swarm, harness: SwarmHarness) -> None:
    image = swarm.publish(CLOSED_REGISTRY, {"username": USER, "password": PASSWORD})
    swarm.label(2, "pulls", "yes")
    spec = replace(harness.spec("echo pulled", Script(), node_labels={"pulls": "yes"}), image=image)
    with pytest.raises(ImageUnavailable, match="can't pull"):
        harness.engine.start(spec, "without", 1)
    handle = harness.engine.start(replace(spec, login=RegistryLogin(USER, PASSWORD)), "with", 1)
    assert b"".join(chunk.data for chunk in harness.engine.logs(handle)) == b"pulled\n"
    assert handle.node == swarm.name(2)


def test_an_image_of_one_machine_is_refused(harness: SwarmHarness) -> None:
    spec = replace(harness.spec("exit 0", Script()), image=f"sha256:{'1' * 64}")
    with pytest.raises(ImageUnavailable, match="build it again, so that it is pushed"):
        harness.engine.start(spec, "a", 1)


def test_a_container_that_used_too_much_memory_is_killed_and_perhaps_said_so(harness: SwarmHarness) -> None:
    greedy = "a=x; while true; do a=$a$a$a$a; done"
    handle = harness.engine.start(harness.spec(greedy, Script(), memory_bytes=32 << 20), "a", 1)
    found = harness.engine.wait(handle)
    assert found.exit_code in (137, 139)
    assert found.exit_code != 137 or "memory" in found.detail


def test_a_node_that_is_no_manager_is_told_apart(swarm: Swarm, harness: SwarmHarness) -> None:
    with pytest.raises(
        EngineUnavailable, match=r"is no manager of a Swarm: make it one by docker swarm init"
    ):
        harness.another(url=swarm.url(2)).info()
