"""Whether an engine bounds what containers write, by what it says and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from app.domain.errors import EngineUnavailable
from app.engines.base import ContainerSpec
from app.engines.docker.calls import Calls, Gone, Refusal
from app.engines.docker.disk_bound import DiskBound
from app.engines.process.engine import NOT_BOUNDED

MIB = 1 << 20
ONLY_XFS = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
SPEC = ContainerSpec("sha256:abc", disk_bytes=5 * MIB)


class Engine:
    """Answers as an engine with this storage; `refused` are its words against a bound, `is_full` against everything."""

    def __init__(self, driver: str = "overlay2", refused: str = "", **status: str) -> None:
        self.driver, self.status, self.refused = driver, status, refused
        self.is_full = False
        self.images: list[str] = []
        self.containers: list[str] = []
        self.sizes: list[str | None] = []

    @contextmanager
    def api(self) -> Iterator[Engine]:
        yield self

    def info(self) -> dict[str, Any]:
        status = [[name.replace("_", " "), value] for name, value in self.status.items()]
        return {"Driver": self.driver, "DriverStatus": status}

    def import_image_from_data(self, data: bytes, changes: list[str]) -> str:
        assert (set(data), changes) == ({0}, ["LABEL jobyard.trial=disk"])
        self.images.append("sha256:trial")
        return json.dumps({"status": "sha256:trial"}) + "\r\n"

    def create_container_from_config(self, body: dict[str, Any]) -> dict[str, str]:
        size = body["HostConfig"].get("StorageOpt", {}).get("size")
        self.sizes.append(size)
        if self.is_full or (size and self.refused):
            raise Refusal(500, self.refused or "no space left on device")
        self.containers.append("made")
        return {"Id": "made"}

    def remove_container(self, name: str, *, v: bool) -> None:
        assert v
        self.containers.remove(name)

    def remove_image(self, name: str) -> None:
        self.images.remove(name)

    def inspect_image(self, name: str) -> dict[str, int]:
        if name != SPEC.image:
            raise Gone(404, "no such image")
        return {"Size": 3 * MIB}


def bound_of(engine: Engine) -> DiskBound:
    return DiskBound(cast("Calls", engine))


def test_an_engine_that_can_is_told_the_bound_and_tried_once() -> None:
    engine = Engine(Backing_Filesystem="xfs")
    bound = bound_of(engine)
    for _ in range(3):
        assert bound.refusal(5 * MIB) == ""
        assert bound.told(SPEC) == SPEC
    assert engine.sizes == [str(5 * MIB)]
    assert (engine.images, engine.containers) == ([], [])


def test_an_engine_that_refuses_is_told_no_bound_and_its_words_are_kept() -> None:
    engine = Engine(Backing_Filesystem="extfs", refused=ONLY_XFS)
    bound = bound_of(engine)
    for _ in range(3):
        assert bound.refusal(5 * MIB) == (
            f"The engine keeps containers with overlay2 over extfs, and refuses a bound: {ONLY_XFS}."
        )
        assert bound.told(SPEC).disk_bytes == 0
    assert engine.sizes == [str(5 * MIB), None]
    assert (engine.images, engine.containers) == ([], [])


def test_storage_without_a_file_system_below_is_named_alone() -> None:
    assert bound_of(Engine("vfs", refused="It can't.")).refusal(MIB) == (
        "The engine keeps containers with vfs, and refuses a bound: It can't."
    )


def test_containerd_takes_a_bound_and_ignores_it_so_nothing_is_tried() -> None:
    engine = Engine("overlayfs", **{"driver-type": "io.containerd.snapshotter.v1"})
    assert bound_of(engine).refusal(MIB) == (
        "The engine keeps containers with overlayfs of containerd, which knows no bound."
    )
    assert engine.sizes == []


def test_where_the_images_files_count_they_are_added() -> None:
    bound = bound_of(Engine("btrfs"))
    assert bound.told(SPEC).disk_bytes == 8 * MIB


def test_without_a_bound_the_engine_is_not_asked() -> None:
    engine = Engine()
    unbounded = ContainerSpec("sha256:abc")
    assert bound_of(engine).told(unbounded) is unbounded
    assert engine.sizes == []


def test_a_refusal_that_is_not_about_the_bound_is_not_kept() -> None:
    engine = Engine()
    engine.is_full = True
    bound = bound_of(engine)
    with pytest.raises(EngineUnavailable, match="no space left on device"):
        bound.refusal(MIB)
    assert engine.images == []
    engine.is_full = False
    assert bound.refusal(MIB) == ""


def test_what_was_found_is_forgotten_when_another_engine_may_answer() -> None:
    engine = Engine(refused=ONLY_XFS)
    bound = bound_of(engine)
    assert bound.refusal(MIB)
    engine.refused = ""
    assert bound.refusal(MIB)
    bound.forget()
    assert bound.refusal(MIB) == ""


def test_processes_are_not_bounded() -> None:
    assert NOT_BOUNDED == "Jobs are processes of this machine, and write as much as there is room for."
