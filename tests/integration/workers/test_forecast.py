"""What is said before an image moves is what then happens: by a deploy, a promotion or a push, to jobs and to apps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands.dry_run import DryRun, Effect, of_deploy, of_promotion
from app.commands.image_rollout import deploy_job
from app.commands.promotions import plan_promotion, promote
from app.commands.runs import start_run
from app.domain.job.effective import Overrides
from app.domain.job.records import Deployed, Job
from app.domain.pipelines import Component, Pipeline, Stage, route
from app.domain.runs import Run, Trigger, TriggerType
from app.forges.github import GitHub
from app.store import deliveries, jobs, pipelines
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation

A, B = commit("a"), commit("b")
CRON = {"cron": "0 3 * * *", "time_zone": "UTC"}
NONE = {"type": "none"}
TO_CONFIRM = " It is refused without confirm_paused."
HOOKS = st.sampled_from([None, None, "pre-deploy", "post-deploy", "failed-deploy"])


@st.composite
def switches(draw: st.DrawFn) -> dict[str, Any]:
    """Whatever a job has that decides about its image, in the API's form."""
    fields: dict[str, Any] = {
        "cd_enabled": draw(st.booleans()),
        "paused": draw(st.sampled_from([False, False, True])),
        "run_on_image_change": draw(st.sampled_from(["never", "cd-promote", "always"])),
    }
    if draw(st.booleans()):
        policy = draw(st.sampled_from(["allow", "forbid", "replace"]))
        active = draw(st.sampled_from([True, True, False]))
        fields |= {"kind": "cron", "schedule": {**CRON, "concurrency_policy": policy, "active": active}}
    return fields


@contextmanager
def an_installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory() as directory:
        place = Installation(Path(directory))
        yield place
        place.close()


def an_image(place: Installation, sha: str) -> Deployed:
    return Deployed(image_of(sha), image_of(sha), None, sha, "", place.clock.now())


def start_runs(place: Installation, job: Job, count: int) -> set[int]:
    """Queued runs of another image, for the concurrency policy to think of; returns their ids."""
    with place.db.write() as tx:
        now, image, by = place.clock.now(), an_image(place, A), Trigger(TriggerType.MANUAL, by="ada")
        agreed = Overrides(confirm_paused=True)
        return {start_run(tx, place.names, job, agreed, by, now, image) for _ in range(count)}


def has(place: Installation, job: Job, sha: str) -> bool:
    deployed = place.job_now(job).deployed
    return deployed is not None and deployed.sha == sha


def new_runs(place: Installation, job: Job, before: set[int]) -> list[Run]:
    return [run for run in place.runs() if run.job == job.name and run.id not in before]


def happened(place: Installation, said: Effect, job: Job, before: set[int]) -> None:
    """The job has the image and a new run, or not, as was said; and so does its last decision."""
    assert said.deploy is not None
    decision = place.decisions()[-1]
    of_rehearsed_build = decision.sentence.replace("Build 1", "If the build", 1).replace(
        " succeeded", " succeeds", 1
    )
    assert said.deploy.sentence.removesuffix(TO_CONFIRM) in (decision.sentence, of_rehearsed_build)
    runs = new_runs(place, job, before)
    assert (said.would_deploy, said.would_run) == (has(place, job, B), bool(runs))
    assert decision.run_id == (runs[0].id if runs else None)


@settings(max_examples=30)
@given(fields=switches(), alive=st.integers(0, 2), latest=st.booleans(), is_built=st.booleans())
def test_a_deploy(fields: dict[str, Any], alive: int, *, latest: bool, is_built: bool) -> None:
    with an_installation() as place:
        job = place.job(**fields, **({} if is_built else {"source": NONE}))
        before, image = start_runs(place, job, alive), an_image(place, B)
        with place.db.write() as tx:
            said = of_deploy(tx, job, image, latest=latest, confirm_paused=False, who="ada")
            assert said.deploy is not None
            assert said.deploy.sentence.endswith(TO_CONFIRM) == job.paused
            how: Any = {"latest": latest, "confirm_paused": True, "who": "ada", "now": place.clock.now()}
            deploy_job(tx, place.names, job, image, **how)
        happened(place, said, job, before)
        assert ("(CD is off now)" in said.deploy.sentence) == (
            place.job_now(job).cd_enabled != job.cd_enabled
        )


def a_pipeline(place: Installation, kind: str, ends: Sequence[tuple[int, str]]) -> Pipeline:
    """From the first of two components to the second."""
    with place.db.write() as tx:
        pipeline_id = pipelines.create(tx, place.project.id, "main", place.clock.now())
        components = [(Component(kind, *end),) for end in ends]
        stages = [Stage(name, each) for name, each in zip(("one", "two"), components, strict=True)]
        pipelines.set_stages(tx, pipeline_id, stages)
        return pipelines.named(tx, place.project.name, "main")


def said_and_done(place: Installation, pipeline: Pipeline, source: str) -> dict[str, Effect]:
    """Plan, ask what that would do, and promote; what was said, by job."""
    way = route(pipeline, source, to=None, to_stage=None, may_skip_stages=False)
    with place.db.write() as tx:
        planned = plan_promotion(tx, way, who="ada", confirm_paused=True)
        said = of_promotion(tx, planned, confirm_paused=True)
        promote(tx, place.names, pipeline, planned, who="ada", now=place.clock.now())
    return {str(each.job): each for each in said}


def a_source(place: Installation, name: str) -> Job:
    """A job with the image that goes on."""
    job = place.job(name, run_on_image_change="never")
    with place.db.write() as tx:
        jobs.deploy(tx, job.id, an_image(place, B))
    return job


@settings(max_examples=30)
@given(fields=switches(), alive=st.integers(0, 2), is_built=st.booleans())
def test_a_promotion_to_a_job(fields: dict[str, Any], alive: int, *, is_built: bool) -> None:
    with an_installation() as place:
        source = a_source(place, "staging")
        job = place.job("live", **fields, **({} if is_built else {"source": NONE}))
        before = start_runs(place, job, alive)
        pipeline = a_pipeline(place, "job", [(source.id, source.name), (job.id, job.name)])
        happened(place, said_and_done(place, pipeline, source.name)[job.name], job, before)


@settings(max_examples=20)
@given(members=st.lists(st.tuples(switches(), HOOKS), min_size=1, max_size=4))
def test_a_promotion_to_an_app(members: list[tuple[dict[str, Any], str | None]]) -> None:
    with an_installation() as place:
        targets = []
        for number, (fields, hook) in enumerate(members):
            given_ = {
                key: value for key, value in fields.items() if hook is None or key not in ("kind", "schedule")
            }
            targets.append(place.job(f"live-{number}", source=NONE, deploy_trigger=hook, **given_))
        source = place.app("staging", *(a_source(place, f"staging-{each.name}") for each in targets))
        target = place.app("live", *targets)
        pipeline = a_pipeline(place, "app", [(source.id, source.name), (target.id, target.name)])
        said = said_and_done(place, pipeline, source.name)
        place.server("one").work()
        for job in targets:
            ahead = said.pop(job.name)
            assert (ahead.would_deploy, ahead.would_run) == (
                has(place, job, B),
                bool(new_runs(place, job, set())),
            )
        assert said == {}


@settings(max_examples=30)
@given(fields=switches(), alive=st.integers(0, 2), ci=st.booleans())
def test_a_push(fields: dict[str, Any], alive: int, *, ci: bool) -> None:
    with an_installation() as place:
        server = place.server("one")
        job = place.job(**fields, ci_enabled=ci)
        before, guid = start_runs(place, job, alive), place.push(None, B)
        dry_run = DryRun(place.db, place.clock, {"github": GitHub()}, place.repository, place.box)  # type: ignore[arg-type]
        with place.db.read() as tx:
            delivery = deliveries.find(tx, guid)
        (said,) = dry_run.of_delivery(delivery, None)
        server.intake.step()
        (decision,) = [each for each in place.decisions() if str(each.event_type) == "push"]
        assert said.build is not None
        assert (said.build.verdict, said.build.rule) == (decision.verdict, decision.rule)
        assert said.would_build == server.builder.step()
        if said.would_build:
            happened(place, said, job, before)
        else:
            assert (said.deploy, said.would_deploy, said.would_run) == (None, False, False)
            assert new_runs(place, job, before) == []
