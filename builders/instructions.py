"""What a generated Dockerfile is made of: the plan's last part, printed by `render`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["system", "install", "build"]


@dataclass(frozen=True)
class Cache:
    """A directory kept between builds. `locked`: the tool can't share it with another build going on."""

    id: str
    target: str
    locked: bool = False


@dataclass(frozen=True)
class Run:
    """Shell commands that all must succeed.

    The phase decides which variables of the build they see: `system` none, `install` the user's, `build` also
    the commit's (`JOBYARD_GIT_*`), so that a new commit leaves the dependency layers alone. `unseen` are variables of
    the user's that would change what is installed: only later steps see them.
    """

    commands: tuple[str, ...]
    phase: Phase = "install"
    caches: tuple[Cache, ...] = ()
    why: str = ""
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    """Files of the build context or an earlier stage."""

    sources: tuple[str, ...]
    target: str
    stage: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Env:
    """Variables that stay in the image."""

    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workdir:
    path: str


Instruction = Run | Copy | Env | Workdir


@dataclass(frozen=True)
class Stage:
    """One `FROM`. The last stage of a plan is the image."""

    base: str
    steps: tuple[Instruction, ...]
    name: str = "job"
