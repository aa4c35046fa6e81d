"""The build cache of a real engine is cut to its bound, and what an image needs of it stays."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from app.engines.docker import DockerEngine
from builders.backends.cli import find_cli
from tests.support.engine_harness import utc_now
from tests.support.private_engine import private_engine

DOCKERFILE = "FROM busybox:latest\nRUN head -c 30000000 /dev/urandom > /ballast\n"


def test_the_build_cache_is_cut_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "engine").mkdir()
    with private_engine(tmp_path / "engine", live_restore=False) as private:
        environment = {**os.environ, "DOCKER_HOST": private.url, "DOCKER_BUILDKIT": "1"}
        build = [*find_cli().argv, "--network=none", "-t", "made:1", str(tmp_path / "source")]
        subprocess.run(build, env=environment, check=True, capture_output=True)
        engine = DockerEngine(url=private.url, installation="cache", clock=utc_now)
        try:
            assert engine.prune_build_cache(10**9) == 0
            assert engine.build_cache().parts > 0
            assert engine.remove_image("made:1")
            assert engine.build_cache().bytes > 20_000_000
            assert engine.prune_build_cache(10_000_000) > 20_000_000
            assert engine.build_cache().bytes < 10_000_000
            assert engine.prune_build_cache(10_000_000) == 0
        finally:
            engine.close()
