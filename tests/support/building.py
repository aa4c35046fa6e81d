"""Real builds, and what the containers made of them do."""

import subprocess
import threading
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

from builders.backends.base import BuildRequest, BuiltImage, Step, request_for
from builders.backends.buildkit import BuildKitCli
from builders.backends.cli import find_cli
from builders.detect import make_plan
from builders.plan import BuildSettings
from builders.source import SourceTree

LIMIT_SECONDS = 240.0
LABEL = "jobyard.test"
SESSION = uuid.uuid4().hex


@dataclass
class Recorder:
    """A build with what it said; `stop` may be set from another thread."""

    backend: BuildKitCli = field(default_factory=BuildKitCli)
    stop: threading.Event = field(default_factory=threading.Event)
    output: bytearray = field(default_factory=bytearray)
    steps: list[Step] = field(default_factory=list)
    said: threading.Condition = field(default_factory=threading.Condition)

    def build(self, request: BuildRequest, time_limit_seconds: float = LIMIT_SECONDS) -> BuiltImage:
        return self.backend.build(
            replace(request, labels={**request.labels, LABEL: SESSION}),
            on_output=self._on_output,
            on_step=self.steps.append,
            should_stop=self.stop,
            time_limit_seconds=time_limit_seconds,
        )

    def wait_for(self, text: bytes) -> None:
        with self.said:
            assert self.said.wait_for(lambda: text in self.output, 60), self.output.decode()

    def _on_output(self, chunk: bytes) -> None:
        with self.said:
            self.output += chunk
            self.said.notify_all()


def build_tree(
    root: Path, settings: BuildSettings | None = None, **options: object
) -> tuple[BuiltImage, Recorder]:
    plan = make_plan(SourceTree(root), settings or BuildSettings())
    recorder = Recorder()
    return recorder.build(request_for(plan, root, **options)), recorder  # type: ignore[arg-type]


def docker(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run((find_cli().argv[0], *arguments), capture_output=True, check=False)


def run_image(image: BuiltImage, *command: str) -> str:
    """What a container prints, without any capability, as jobs run."""
    done = docker("run", "--rm", "--cap-drop=ALL", "--security-opt=no-new-privileges", image.digest, *command)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def remove_images() -> None:
    """Those built here, by their label, and no others."""
    mine = docker("image", "ls", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={SESSION}")
    images = sorted(set(mine.stdout.decode().split()))
    if images:
        docker("image", "rm", "--force", *images)
