"""Jobs, build services and overrides as somebody gives them: secrets are still in plain text, and not in a `repr`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.job.effective import Overrides
from app.domain.job.spec import BuildsInFlight, GitSource, JobSpec
from app.domain.job.variables import EnvDraft

EnvDrafts = Mapping[str, EnvDraft]


@dataclass(frozen=True)
class JobDraft:
    """A job that is to be stored. The variables of `spec.run` are those of `env`, and not in it.

    `branch` is what was said of the branch of its build service. Without a `webhook_secret` the stored one is kept.
    """

    spec: JobSpec
    env: EnvDrafts = field(default_factory=dict, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    branch: str | None = None


@dataclass(frozen=True)
class BuildServiceDraft:
    """A build service that is to be stored. Without a `webhook_secret` the stored one is kept."""

    name: str
    git: GitSource
    ci_enabled: bool = True
    builds_in_flight: BuildsInFlight = BuildsInFlight.ALL
    webhook_secret: str | None = field(default=None, repr=False)
    config_file: bool = False


@dataclass(frozen=True)
class OverridesDraft:
    """What is to be different in one run. The variables are those of `env`, of which None unsets one."""

    overrides: Overrides
    env: Mapping[str, EnvDraft | None] = field(default_factory=dict, repr=False)
