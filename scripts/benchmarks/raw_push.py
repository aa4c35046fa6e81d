"""What a person would script by hand: fetch into a kept clone, `docker build` with BuildKit, `docker run`."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from builders.backends.cli import find_cli


@dataclass(frozen=True)
class RawPipeline:
    """`clone` is kept between pushes, `image` the tag it builds under."""

    clone: Path
    image: str
    stages: list[dict[str, int]] = field(default_factory=list)

    def prepare(self, url: str, dockerfile: str) -> None:
        subprocess.run(["git", "clone", "--quiet", url, str(self.clone)], check=True)
        self.dockerfile.write_text(dockerfile)

    @property
    def dockerfile(self) -> Path:
        return self.clone.with_suffix(".Dockerfile")

    def push(self, sha: str, first_line: bytes) -> float:
        """Seconds from now to the container's first line."""
        began = time.perf_counter()
        git = ["git", "-C", str(self.clone)]
        subprocess.run([*git, "fetch", "--quiet", "origin", sha], check=True)
        subprocess.run([*git, "checkout", "--quiet", "--force", sha], check=True)
        fetched = time.perf_counter() - began
        build = [*find_cli().argv, "--quiet", "--file", str(self.dockerfile), "--tag", self.image]
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        build.append(str(self.clone))
        subprocess.run(build, env=environment, check=True, stdout=subprocess.DEVNULL)
        built = time.perf_counter() - began
        seconds = docker_run(self.image, first_line, began)
        times = {"fetched": fetched, "built": built, "first line": seconds}
        self.stages.append({name: round(value * 1e3) for name, value in times.items()})
        return seconds

    def close(self) -> None:
        subprocess.run([find_cli().argv[0], "rmi", "--force", self.image], capture_output=True, check=False)


def docker_run(image: str, first_line: bytes, began: float) -> float:
    """Seconds since `began` when the first line of a new container is here; the container is waited for."""
    argv = [find_cli().argv[0], "run", "--rm", image]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        process.stdout.read()
    assert line == first_line, line
    return seconds
