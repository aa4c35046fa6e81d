"""What a container may write to its own files, on storage that can bound it and on storage that can't."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
import pytest

from app.domain.errors import EngineUnavailable
from app.engines.base import ContainerSpec
from app.engines.docker import DockerEngine
from app.engines.fake import Script
from tests.support.engine_harness import docker_harness, utc_now
from tests.support.engine_proxy import EngineProxy, Fault, nothing_wrong
from tests.support.private_engine import PrivateEngine, private_engine
from tests.support.server import jobyard_server
from tests.support.small_disk import small_disk

MIB = 1 << 20
MOST = 16 * MIB
WRITES = "dd if=/dev/zero of=/under bs=1M count=8 2>&1; echo under $?; dd if=/dev/zero of=/over bs=1M count=16 2>&1"


@pytest.fixture
def bounding(tmp_path: Path) -> Iterator[PrivateEngine]:
    """An engine whose data is on a btrfs of its own: one that every kernel with it can bound, unlike xfs."""
    image, place = tmp_path / "image", tmp_path / "btrfs"
    with image.open("wb") as file:
        file.truncate(1024 * MIB)  # of which it takes what is written
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True, capture_output=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        with private_engine(place, live_restore=False) as engine:
            yield engine
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def boundless(tmp_path: Path) -> Iterator[PrivateEngine]:
    """An engine whose data is in memory, where nothing can be bounded."""
    with (
        small_disk(tmp_path / "memory", "size=256m") as disk,
        private_engine(disk.path, live_restore=False) as engine,
    ):
        yield engine


@contextmanager
def engine_of(url: str) -> Iterator[DockerEngine]:
    with closing(DockerEngine(url=url, installation="one", clock=utc_now, isolate_network=False)) as engine:
        yield engine


def written(engine: DockerEngine, image: str, key: str) -> tuple[str, int | None]:
    """What a container prints that writes 8 MiB and then 16 more, and how it ends."""
    spec = ContainerSpec(image, command=("sh", "-c", WRITES), disk_bytes=MOST)
    handle = engine.start(spec, key, 1)
    output = b"".join(chunk.data for chunk in engine.logs(handle)).decode()
    exit_code = engine.wait(handle).exit_code
    engine.remove(handle)
    return output, exit_code


def leftovers(private: PrivateEngine) -> list[str]:
    with closing(docker.APIClient(base_url=private.url, version="1.41", timeout=60)) as client:
        found = client.images() + client.containers(all=True)
    return [each["Id"] for each in found if each["Id"] != private.image]


def test_a_container_writes_as_much_as_it_may_and_others_go_on(bounding: PrivateEngine) -> None:
    with engine_of(bounding.url) as engine:
        assert engine.disk_refusal(MOST) == ""
        for key in ("one", "two"):  # what the first has filled is not the second's
            output, exit_code = written(engine, bounding.image, key)
            assert "under 0" in output
            assert "No space left on device" in output or "Disk quota exceeded" in output
            assert exit_code == 1
    assert leftovers(bounding) == []


def test_where_the_storage_bounds_nothing_containers_start_and_it_is_said(
    boundless: PrivateEngine, tmp_path: Path
) -> None:
    with engine_of(boundless.url) as engine:
        output, exit_code = written(engine, boundless.image, "one")
        assert "under 0" in output
        assert exit_code == 0
        refusal = engine.disk_refusal(MOST)
    assert refusal.startswith("The engine keeps containers with overlay2 over tmpfs, and refuses a bound: ")
    assert leftovers(boundless) == []
    sentence = f"Runs are not held to 16 MiB of disk (JOBYARD_RUN_DISK_MB). {refusal}"
    settings = {"docker_host": boundless.url, "run_disk_mb": "16"}
    with jobyard_server(tmp_path / "data", **settings) as server:
        server.wait_for("the engine is up", lambda: server.http.get("/readyz").status_code == 200, 60)
        assert server.http.get("/readyz").json()["run_disk"] == sentence
        assert server.log.count(sentence) == 1


def test_it_is_tried_once_and_again_after_the_engine_was_away_or_started_nothing(tmp_path: Path) -> None:
    with docker_harness() as harness, EngineProxy(tmp_path) as proxy:
        engine = harness.through(proxy.url)

        def trials() -> int:
            spec = harness.spec("exit 0", Script(), disk_bytes=MOST)
            handle = engine.start(spec, f"at-{len(proxy.calls)}", 1)
            assert engine.wait(handle).exit_code == 0
            return [call.path for call in proxy.calls].count("/images/create")

        assert (trials(), trials()) == (1, 1)
        proxy.rule = lambda _call: Fault.RESET_BEFORE
        with pytest.raises(EngineUnavailable):
            engine.info()
        proxy.rule = nothing_wrong
        assert (trials(), trials()) == (2, 2)
        proxy.rule = lambda call: Fault.ERROR if call.path == "/containers/create" else None
        with pytest.raises(EngineUnavailable):
            trials()
        proxy.rule = nothing_wrong
        assert trials() == 3
