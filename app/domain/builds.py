"""Builds: one commit, one image.

    queued ─claim▶ running ─▶ succeeded | failed
       └──────────────┴─────▶ cancelled          (by a person, or superseded by a newer push)

A build waits as queued, with `available_at` and the reason as its sentence, for an engine, a registry or a Git server
that does not answer (`no_answer`), and after its server ended without being told to (`interrupted`).
"""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.build_parts import BuildPhase, BuildStep, BuildTrigger, PlanDocument
from app.domain.crashes import is_given_up, is_suspected, quiet_after
from app.domain.job.codec import build_to_json, env_to_json
from app.domain.job.spec import BuildConfig
from app.domain.job.variables import Env
from app.domain.outages import WHILE_ENGINE_IS_DOWN, in_vain, pause_after


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
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105 - what a secret is read from does not have it, or no answer
    TIME_LIMIT = "time_limit"
    ENGINE_FAILED = "engine_failed"  # the container engine did not answer or can't build
    PUSH_FAILED = "push_failed"  # built, but the registry would not take the image
    INTERRUPTED = "interrupted"  # the server died under it too often
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Build:
    """One build as stored. `position` orders pushes of a branch."""

    id: int
    project_id: int
    project: str
    key: str
    url: str
    ref: str
    sha: str | None
    status: BuildStatus
    trigger: BuildTrigger
    config: BuildConfig
    created_at: datetime
    reason: BuildReason | None = None
    sentence: str = ""
    plan: PlanDocument | None = None
    dockerfile: str | None = None
    steps: tuple[BuildStep, ...] = ()
    phases: tuple[BuildPhase, ...] = ()  # of its last try, as far as that came
    image: str | None = None
    digest: str | None = None
    position: int = 0
    credential_id: int | None = None
    env: Env = field(default_factory=dict, repr=False)
    message: str = ""
    author: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    available_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    token: int = 0
    tries: int = 0  # that met an outage, since `unanswered_since`
    unanswered_since: datetime | None = None
    crashes: int = 0
    rebuild_of: int | None = None  # the build whose image was gone: CD has nothing to do with this one
    on_branch: bool | None = True  # whether the commit is on `ref`; None while nobody could say
    contained_in: tuple[str, ...] = ()  # commits deployed at its end that are newer than it

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/")


def build_key(repo_key: str, ref: str, sha: str, config: BuildConfig, env: Env) -> str:
    """Equal for builds that would make the same image: same repository, branch, commit, settings and build variables.

    What only decides *whether* to build (path rules, flags) or for how long is left out. In `env`, something that is
    the same for the same value stands for each secret.
    """
    settings = build_to_json(config)
    for name in ("paths", "paths_mode", "commit_flags", "time_limit_seconds", "tags", "pull_requests"):
        settings.pop(name)
    for name in ("submodules", "lfs"):  # keys from before there were such settings stay as they are
        if not settings[name]:
            del settings[name]
    text = json.dumps([repo_key, ref, sha, settings, env_to_json(env)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Again:
    """The build is queued for another try. `counts` tells whether that is one of a bounded number."""

    available_at: datetime
    sentence: str
    counts: bool = True


@dataclass(frozen=True)
class GivenUp:
    sentence: str


def no_answer(build: Build, sentence: str, now: datetime, *, engine_is_down: bool = False) -> Again | GivenUp:
    """Decide what becomes of a build whose try met an outage, as `sentence` says; `build.tries` lacks it yet."""
    if engine_is_down:
        again = f"Tried again in {WHILE_ENGINE_IS_DOWN.total_seconds():.0f} s."
        return Again(now + WHILE_ENGINE_IS_DOWN, f"{sentence.rstrip('.')}. {again}", counts=False)
    pause = pause_after(build.tries)
    if pause is None:
        return GivenUp(in_vain(sentence, build.tries + 1, build.unanswered_since or now, now, "build"))
    again = f"Tried again in {pause.total_seconds():.0f} s."
    return Again(now + pause, f"{sentence.rstrip('.')}. {again}")


def interrupted(build: Build, now: datetime) -> Again | GivenUp:
    """Decide what becomes of a build whose server ended. `build.crashes` counts this time if it was a crash."""
    if is_given_up(build.crashes):
        return GivenUp(
            f"The server was killed, or failed, {build.crashes} times during this build, although nothing else was"
            " under suspicion any more; not building again by itself. Start the build again once the cause is known."
        )
    if not is_suspected(build.crashes):
        return Again(
            now, "The server was stopped or failed, or its database did, during this build; building again."
        )
    quiet = quiet_after(build.crashes)
    return Again(
        now + quiet,
        f"The server was killed, or failed, {build.crashes} times during this build, which may be the cause: building"
        f" again when the server has stayed up for {quiet.total_seconds():.0f} s.",
    )
