"""What can't be set together, as it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import Contradictions, require_consistent
from app.domain.job import rules
from app.domain.job.checks import CheckType, TcpCheck
from app.domain.job.drafts import JobDraft
from app.domain.job.effective import Overrides, merge
from app.domain.job.records import Job
from app.domain.job.spec import (
    BuildConfig,
    BuildServiceSource,
    BuildsInFlight,
    GitSource,
    ImageSource,
    JobKind,
    JobSpec,
    RunOnImageChange,
    RunSpec,
    ScheduleSettings,
)
from app.domain.job.variables import EnvDraft, EnvScope

GIT = GitSource("https://github.com/acme/report")
IMAGE, SERVICE = ImageSource("busybox"), BuildServiceSource("images")
LIVENESS = TcpCheck(CheckType.LIVENESS, 80)
BUILT = {"A": EnvDraft("x", scope=EnvScope.BUILD)}


def said(draft: JobDraft) -> list[str]:
    try:
        require_consistent(rules.of_job(draft))
    except Contradictions as error:
        return [sentence for _, sentence in error.errors]
    return []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"builds_in_flight": BuildsInFlight.LATEST},
            "builds_in_flight is only for a source of type git: nothing is built for this job.",
        ),
        (
            {"builds_in_flight": BuildsInFlight.LATEST, "source": SERVICE},
            "builds_in_flight is only for a source of type git: set it on the build service.",
        ),
        (
            {"kind": JobKind.CRON},
            'schedule is missing: a job of kind cron needs one, such as {"cron": "0 6 * * *"}.',
        ),
        (
            {"schedule": ScheduleSettings("0 6 * * *")},
            "schedule is only for jobs of kind cron: leave it out, or set kind to cron.",
        ),
        (
            {
                "kind": JobKind.CRON,
                "schedule": ScheduleSettings("0 6 * * *"),
                "deploy_trigger": "pre-deploy",
            },
            "deploy_trigger is only for jobs of kind manual: one of kind cron starts by its schedule.",
        ),
        (
            {"source": SERVICE, "ci_enabled": False},
            "ci_enabled is not for a source of type build_service: set it on the build service.",
        ),
        (
            {"source": IMAGE, "run_on_image_change": RunOnImageChange.ALWAYS},
            "run_on_image_change can't be always for a source of type image: use never or cd-promote.",
        ),
        (
            {"source": IMAGE, "run": RunSpec(process="web")},
            "process is only for images that Jobyard builds: give a command.",
        ),
        (
            {"run": RunSpec(process="web", command="x")},
            "process can't be set together with command: give one of them.",
        ),
        (
            {"run": RunSpec(shell=True)},
            "command is missing: shell wraps a command or a process, not what the image runs; or leave shell out.",
        ),
        (
            {"run": RunSpec(health_checks=(LIVENESS, LIVENESS))},
            "health_checks.1.type can't be liveness twice: there is at most one check of each type.",
        ),
        (
            {"source": replace(GIT, build=BuildConfig(mode="dockerfile", build_command="make"))},
            "source.build.build_command is not for mode dockerfile: a Dockerfile says itself how to build.",
        ),
    ],
)
def test_a_contradiction_names_its_field_and_what_to_do(fields: dict[str, Any], sentence: str) -> None:
    assert said(JobDraft(JobSpec("report", **fields))) == [sentence]


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (IMAGE, "for a source of type image, since nothing is built"),
        (SERVICE, "for a source of type build_service, whose image other jobs share"),
    ],
)
def test_a_variable_of_builds_needs_builds_of_its_own(source: Any, where: str) -> None:
    assert said(JobDraft(JobSpec("report", source=source), BUILT)) == [f"env.A.scope must be run {where}."]
    assert said(JobDraft(JobSpec("report", source=GIT), BUILT)) == []


def test_all_contradictions_are_said_at_once() -> None:
    spec = JobSpec("report", kind=JobKind.CRON, run=RunSpec(shell=True))
    with pytest.raises(Contradictions) as refused:
        require_consistent(rules.of_job(JobDraft(spec)))
    assert [field for field, _ in refused.value.errors] == ["schedule", "command"]
    assert str(refused.value) == " ".join(sentence for _, sentence in refused.value.errors)


@pytest.mark.parametrize(
    ("overrides", "source", "rule"),
    [
        (Overrides(RunSpec(shell=True), frozenset({"shell"})), GIT, ("at.command", rules.NOTHING_TO_WRAP)),
        (
            Overrides(RunSpec(process="web"), frozenset({"process"}), image="busybox"),
            GIT,
            ("at.process", rules.ONLY_OF_BUILDS),
        ),
        (
            Overrides(RunSpec(process="web"), frozenset({"process"})),
            IMAGE,
            ("at.process", rules.ONLY_OF_BUILDS),
        ),
        (Overrides(RunSpec(process="web"), frozenset({"process"})), GIT, None),
    ],
)
def test_overrides_are_held_against_their_job(
    overrides: Overrides, source: Any, rule: tuple[str, str] | None
) -> None:
    job = Job(1, 1, "acme", "report", JobSpec("report", source=source))
    spec = merge(job.spec.run, overrides).spec
    assert list(rules.of_overrides_for(job, overrides, spec, "at.")) == ([rule] if rule else [])


def test_one_thing_says_what_is_run() -> None:
    overrides = Overrides(RunSpec(command="x", process="web"), image="busybox", build=1)
    assert list(rules.of_overrides(overrides)) == [
        ("build", "can't be set together with image: give one of them"),
        ("process", "can't be set together with command: give one of them"),
    ]
