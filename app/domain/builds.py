"""Builds: one commit, one image.

    queued ─claim▶ running ─▶ succeeded | failed
       └──────────────┴─────▶ cancelled          (by a person, or superseded by a newer push)

A build whose server died is running without an owner; whoever recovers it puts it back to queued, a bounded number
of times (`INTERRUPTION_LIMIT`), so that a build which takes the host down is not tried for ever.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.jobs import BuildConfig

INTERRUPTION_LIMIT = 3
TRIES = 3  # of a build that the Git server, the engine or a registry did not answer


class BuildStatus(enum.StrEnum):
    QUEUED = "queued"  # waits for a worker, or for `available_at`
    RUNNING = "running"  # a worker has it
    SUCCEEDED = "succeeded"  # has an image
    FAILED = "failed"  # has a reason and a sentence
    CANCELLED = "cancelled"  # asked for by a person or by a newer push

    @property
    def is_final(self) -> bool:
        return self not in (BuildStatus.QUEUED, BuildStatus.RUNNING)


class BuildReason(enum.StrEnum):
    """Why a build did not succeed."""

    BUILD_FAILED = "build_failed"  # a step of the build failed: the repository's
    NOT_RECOGNISED = "not_recognised"  # no runtime, or the plan contradicts itself: the repository's
    SOURCE_UNAVAILABLE = "source_unavailable"  # commit, branch or repository can't be had
    TIME_LIMIT = "time_limit"
    ENGINE_FAILED = "engine_failed"  # the container engine did not answer or can't build
    PUSH_FAILED = "push_failed"  # built, but the registry would not take the image
    INTERRUPTED = "interrupted"  # the server died under it too often
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Build:
    """One build as stored. `steps` are `builders.backends` steps as JSON; `position` orders pushes of a branch."""

    id: int
    project_id: int
    project: str
    key: str
    url: str
    ref: str
    sha: str | None
    status: BuildStatus
    trigger: Mapping[str, Any]
    config: BuildConfig
    created_at: datetime
    reason: BuildReason | None = None
    sentence: str = ""
    plan: Mapping[str, Any] | None = None
    dockerfile: str | None = None
    steps: tuple[Mapping[str, Any], ...] = ()
    image: str | None = None
    digest: str | None = None
    position: int = 0
    credential_id: int | None = None
    env: Mapping[str, Any] = field(default_factory=dict, repr=False)
    message: str = ""
    author: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    available_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    token: int = 0
    tries: int = 0
    on_branch: bool | None = True  # whether the commit is on `ref`; None while nobody could say
    contained_in: tuple[str, ...] = ()  # commits deployed at its end that are newer than it

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/")


def build_key(repo_key: str, ref: str, sha: str, config: BuildConfig, env: Mapping[str, Any]) -> str:
    """Equal for builds that would make the same image: same repository, branch, commit, settings and build variables.

    What only decides *whether* to build (path rules, flags) or for how long is left out. In `env`, something that is
    the same for the same value stands for each secret.
    """
    settings = config.to_json()
    for name in ("paths", "paths_mode", "commit_flags", "time_limit_seconds"):
        settings.pop(name)
    for name in ("submodules", "lfs"):  # keys from before there were such settings stay as they are
        if not settings[name]:
            del settings[name]
    text = json.dumps([repo_key, ref, sha, settings, env], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
