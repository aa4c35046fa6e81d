"""What can't be set together in a job, a build or the overrides of a run.

Each rule gives pairs of a field, as a dotted path of the API's, and the rest of a sentence about it: why not, and what
to do instead. `errors.require_consistent` refuses them. What a type of source or check takes at all is in its type.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.job.checks import Check, Protocol
from app.domain.job.drafts import EnvDrafts, JobDraft
from app.domain.job.effective import Overrides
from app.domain.job.records import Job
from app.domain.job.spec import (
    BuildConfig,
    BuildServiceSource,
    BuildsInFlight,
    GitSource,
    ImageSource,
    JobKind,
    JobSpec,
    Network,
    RunOnImageChange,
    RunSpec,
)
from app.domain.job.variables import EnvScope

Contradictions = Iterator[tuple[str, str]]
NOTHING_TO_WRAP = (
    "is missing: shell wraps a command or a process, not what the image runs; or leave shell out"
)
ONLY_OF_BUILDS = "is only for images that Jobyard builds: give a command"


def of_job(draft: JobDraft) -> Contradictions:
    spec, run = draft.spec, draft.spec.run
    yield from _of_source(spec, draft.env)
    if spec.builds_in_flight is not BuildsInFlight.ALL and not isinstance(spec.source, GitSource):
        has_service = isinstance(spec.source, BuildServiceSource)
        where = "set it on the build service" if has_service else "nothing is built for this job"
        yield "builds_in_flight", f"is only for a source of type git: {where}"
    if spec.kind is JobKind.CRON and spec.schedule is None:
        yield "schedule", 'is missing: a job of kind cron needs one, such as {"cron": "0 6 * * *"}'
    if spec.kind is JobKind.MANUAL and spec.schedule is not None:
        yield "schedule", "is only for jobs of kind cron: leave it out, or set kind to cron"
    if spec.kind is JobKind.CRON and spec.deploy_trigger is not None:
        yield "deploy_trigger", "is only for jobs of kind manual: one of kind cron starts by its schedule"
    yield from _of_run(run)
    yield from _of_checks(run.health_checks)
    if run.network is Network.NONE:
        for number, check in enumerate(run.health_checks):
            if check.protocol is not Protocol.CMD:
                yield (
                    f"health_checks.{number}.protocol",
                    "must be cmd where network is none: nothing reaches the container from outside",
                )


def _of_source(spec: JobSpec, env: EnvDrafts) -> Contradictions:
    match spec.source:
        case GitSource(build=build):
            yield from of_build(build, "source.build")
        case BuildServiceSource():
            if not spec.ci_enabled:
                yield "ci_enabled", "is not for a source of type build_service: set it on the build service"
            yield from _of_scopes(env, "for a source of type build_service, whose image other jobs share")
        case ImageSource():
            if spec.run_on_image_change is RunOnImageChange.ALWAYS:
                rule = "can't be always for a source of type image: use never or cd-promote"
                yield "run_on_image_change", rule
            if spec.run.process is not None:
                yield "process", ONLY_OF_BUILDS
            yield from _of_scopes(env, "for a source of type image, since nothing is built")


def _of_scopes(env: EnvDrafts, where: str) -> Contradictions:
    for name, draft in env.items():
        if draft.scope not in (None, EnvScope.RUN):
            yield f"env.{name}.scope", f"must be run {where}"


def _of_run(run: RunSpec) -> Contradictions:
    if run.command is not None and run.process is not None:
        yield "process", "can't be set together with command: give one of them"
    if run.shell and run.command is None and run.process is None:
        yield "command", NOTHING_TO_WRAP


def _of_checks(checks: tuple[Check, ...]) -> Contradictions:
    seen = set()
    for number, check in enumerate(checks):
        if check.type in seen:
            field = f"health_checks.{number}.type"
            yield field, f"can't be {check.type} twice: there is at most one check of each type"
        seen.add(check.type)


def of_build(build: BuildConfig, field: str) -> Contradictions:
    """Yield the contradictions in the settings of a build, which are at `field`."""
    commands = {"install_command": build.install_command, "build_command": build.build_command}
    for name, command in commands.items():
        if build.mode == "dockerfile" and command is not None:
            yield f"{field}.{name}", "is not for mode dockerfile: a Dockerfile says itself how to build"


def of_overrides(overrides: Overrides, prefix: str = "") -> Contradictions:
    """Yield the contradictions in what is different in one run of any job; its fields are below `prefix`."""
    named = overrides.image_fields
    if len(named) > 1:
        yield f"{prefix}{named[1]}", f"can't be set together with {named[0]}: give one of them"
    if overrides.spec.command is not None and overrides.spec.process is not None:
        yield f"{prefix}process", "can't be set together with command: give one of them"


def of_overrides_for(job: Job, overrides: Overrides, spec: RunSpec, prefix: str = "") -> Contradictions:
    """Yield the contradictions in what is different in a run of this job, as far as is known; `spec` is the result."""
    if overrides.spec.shell and spec.command is None and spec.process is None:
        yield f"{prefix}command", NOTHING_TO_WRAP
    if overrides.spec.process is not None and not _runs_a_build(job, overrides):
        yield f"{prefix}process", ONLY_OF_BUILDS


def _runs_a_build(job: Job, overrides: Overrides) -> bool:
    if overrides.build is not None or overrides.sha is not None:
        return True
    if overrides.image is not None:
        return False
    from_build = job.deployed is not None and job.deployed.build_id is not None
    return from_build or job.spec.image is None
