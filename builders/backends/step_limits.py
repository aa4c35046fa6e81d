"""What a step of a build may use: set on its control group, as BuildKit inside of the engine takes no such limits.

The engine's CLI accepts `--memory` and the like, and they are passed to nobody (seen with Docker 20.10). Its BuildKit
puts each step into a group of its own below `docker/buildkit`, where the engine drives the groups itself (`cgroupfs`)
and whoever builds is root on its machine. Elsewhere nothing is limited: see `where`. Steps of others on the same engine
are limited alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
STEPS = Path("docker/buildkit")
LOOK_SECONDS = 0.05  # a step is without limits for no longer
PERIOD_MICROSECONDS = 100_000
PROCESSES = 4096


@dataclass(frozen=True)
class StepLimits:
    """Of each step, all its processes together: cores, and bytes of memory; 0 is no limit.

    `setting` is what sets the memory, for the sentence about a step that was killed.
    """

    cpus: float = 0
    memory_bytes: int = 0
    processes: int = PROCESSES
    setting: str = ""


def where(root: Path = GROUPS) -> Mapping[str, Path]:
    """The directories that hold the steps' groups, by controller; with one for all (version 2) its key is empty.

    Empty where this process may set nothing there.
    """
    if (root / "cgroup.controllers").is_file():
        found = {"": root}
    else:
        found = {name: root / name for name in ("memory", "cpu", "pids")}
    return found if all(_is_writable(each) for each in found.values()) else {}


def _is_writable(directory: Path) -> bool:
    """Asked of the nearest group that is there: those of an engine's steps are made with its first build."""
    nearest = (directory / STEPS, directory / STEPS.parent, directory)
    try:
        with (next(each for each in nearest if each.is_dir()) / "cgroup.procs").open("a"):
            return True
    except (OSError, StopIteration):
        return False


def values(limits: StepLimits) -> Mapping[str, Mapping[str, str]]:
    """What is written, by controller and file. Swap would be memory as well, so there is none beyond it."""
    quota = round(limits.cpus * PERIOD_MICROSECONDS)
    one: dict[str, dict[str, str]] = {"memory": {}, "cpu": {}, "pids": {}, "": {}}
    if limits.memory_bytes:
        one["memory"] = dict.fromkeys(
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), str(limits.memory_bytes)
        )
        one[""] |= {"memory.max": str(limits.memory_bytes), "memory.swap.max": "0"}
    if limits.cpus:
        one["cpu"] = {"cpu.cfs_quota_us": str(quota)}
        one[""] |= {"cpu.max": f"{quota} {PERIOD_MICROSECONDS}"}
    if limits.processes:
        one["pids"] = {"pids.max": str(limits.processes)}
        one[""] |= {"pids.max": str(limits.processes)}
    return one


@dataclass
class Steps:
    """The groups of the steps that go on, each limited once. `write` puts a text into a file of a group."""

    limits: StepLimits
    places: Mapping[str, Path]
    write: Callable[[Path, str], object] = Path.write_text
    _done: set[Path] = field(default_factory=set)

    def look(self) -> None:
        """Limit the steps that began since the last look; those that are gone are forgotten."""
        there: set[Path] = set()
        for controller, place in self.places.items():
            files = values(self.limits)[controller]
            for group in _groups(place / STEPS):
                there.add(group)
                if group not in self._done and all(
                    self._set(group / name, text) for name, text in files.items()
                ):
                    self._done.add(group)
        self._done &= there

    def _set(self, file: Path, text: str) -> bool:
        """Whether it holds now. What uses more already may use no more than that until it uses less."""
        if not file.exists():
            return file.parent.is_dir()  # the system counts no swap, or the step is over
        try:
            self.write(file, text)
        except OSError:
            self._hold(file)
            return False
        return True

    def _hold(self, file: Path) -> None:
        used = file.with_name(file.name.replace("limit_in_bytes", "usage_in_bytes"))
        if used != file:
            with suppress(OSError):
                self.write(file, used.read_text())


def _groups(directory: Path) -> list[Path]:
    try:
        return [each for each in directory.iterdir() if each.is_dir()]
    except OSError:
        return []


@contextmanager
def limited(limits: StepLimits | None, places: Mapping[str, Path] | None = None) -> Iterator[None]:
    """Limit each step that the engine's BuildKit begins in the block."""
    places = where() if places is None else places
    if limits is None or not places:
        yield
        return
    over, steps = threading.Event(), Steps(limits, places)

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            steps.look()

    thread = threading.Thread(target=watch, name="step-limits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
