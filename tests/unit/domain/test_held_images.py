"""Which images of an engine go: what this installation named, and nothing that is needed or somebody else's."""

from __future__ import annotations

import pytest

from app.domain.held_images import HeldImage, NeededImages, named_in, unneeded, weight
from app.domain.references import Ours

OURS = Ours("jobyard-0123456789ab", "registry.example.com/team")
DIGEST = "sha256:" + "d" * 64
NEEDED = NeededImages(newest_build=100)


def held(*names: str, digest: str = DIGEST, size: int = 5) -> HeldImage:
    return HeldImage(names, frozenset({digest}), size)


@pytest.mark.parametrize(
    "name",
    [
        "busybox:latest",
        "jobyard:latest",
        "jobyard-0123456789ab:latest",
        "jobyard-ba9876543210:build-7-0a1b",
        "jobyard-0123456789ab-0a1b2c3d:build-7-0a1b",
        "jobyard-0123456789ab:build-101-0a1b",
        "registry.example.com/team/acme/report:1",
        f"registry.example.com/team/acme/report@{DIGEST}",
        "registry.example.com/other/report:build-7",
        "process:/data/process/images/abc/image.json",
    ],
)
def test_what_is_not_known_to_be_ours_stays(name: str) -> None:
    assert unneeded([held(name)], NEEDED, {}, OURS) == []


@pytest.mark.parametrize(
    "name",
    [
        "jobyard-0123456789ab:build-7-0a1b",
        f"registry.example.com/team/acme/report@{DIGEST}",
        "registry.example.com/team/acme/report:1",
        "process:/data/process/images/abc/image.json",
    ],
)
def test_what_a_build_here_made_goes_by_its_names(name: str) -> None:
    (found,) = unneeded([held(name, "somebody/elses:tag")], NEEDED, {DIGEST: {7}}, OURS)
    assert found.names == (name,)
    assert weight([found]) == 5


@pytest.mark.parametrize(
    "needed",
    [
        NeededImages(builds={7}, newest_build=100),
        NeededImages(digests={DIGEST}, newest_build=100),
        NeededImages(names=named_in(["FROM jobyard-0123456789ab:build-7-0a1b AS base\n"]), newest_build=100),
        NeededImages(newest_build=6),
    ],
)
def test_what_is_needed_stays(needed: NeededImages) -> None:
    assert unneeded([held("jobyard-0123456789ab:build-7-0a1b")], needed, {DIGEST: {7}}, OURS) == []


def test_an_image_that_one_of_its_builds_needs_keeps_all_its_names() -> None:
    image = held("jobyard-0123456789ab:build-7-0a1b", "jobyard-0123456789ab:build-8-0a1b")
    assert unneeded([image], NeededImages(builds={8}, newest_build=100), {}, OURS) == []
