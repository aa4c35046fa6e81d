"""Images that the engine has no more, made again from the commits that they were built from.

    gone ─▶ a later build that makes the same, else a new one, for all who ask ─▶ who waits goes on with its image

What has the gone image deployed moves to the new one. It is of the same commit, so that is no change of the image by
the rules: nothing runs because of it, and no switch is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.build_parts import BuildTrigger, BuildTriggerType
from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.errors import Conflict
from app.domain.events import short
from app.domain.job.records import Deployed
from app.domain.runs import Again, Attempt, Final, Reason, Run, RunStatus, is_past_deadline, waits_for_build
from app.store import builds, decisions, jobs, rebuilds, runs
from app.store.database import Tx

RULE = "image_gone"
Event = tuple[EventType, str]


def wait_for_image(tx: Tx, run: Run, attempt: Attempt, now: datetime) -> bool:
    """A running run found its image gone, and nothing of the attempt was started: it waits for the image.

    False if that can't be had again, or the run is to end.
    """
    run = replace(runs.with_id(tx, run.id), token=run.token)
    gone = _made_by(tx, run.project_id, run.build_id, run.digest)
    is_to_end = run.cancel_requested_at is not None or is_past_deadline(run, now)
    if gone is None or is_to_end or _was_made_for(run, gone):
        return False
    again = _make_again(tx, gone, run.name, now)
    is_made = again.status is BuildStatus.SUCCEEDED
    sentence = f"Its image is gone; build {again.id} {_makes_it(again)}."
    is_over = again.status.is_final
    verdict = Again(now, sentence) if is_over else waits_for_build(run, sentence, now)
    if rebuilds.wait_for(tx, run, attempt, again.id, verdict, now) is None:
        return False
    event = (EventType.RUN, f"{run.id}:{again.id}")
    moved = _move(tx, again, {gone.digest or ""}, event, now, run) if is_made else []
    if run.job_id not in moved:
        _decide(
            tx, event, run.job_id, again, Verdict.BUILT if is_made else Verdict.QUEUED, sentence, now, run
        )
    return True


def after_waiting(tx: Tx, run: Run, now: datetime) -> Run | Again | Final:
    """What a run goes on with that waited for its image; `Again` while that is still being built."""
    assert run.awaited_build_id is not None
    build = builds.with_ids(tx, [run.awaited_build_id]).get(run.awaited_build_id)
    if build is None or build.reason is BuildReason.SUPERSEDED:
        return run  # the image is looked for once more
    if build.status is BuildStatus.SUCCEEDED:
        return replace(run, image=build.image, digest=build.digest, build_id=build.id, sha=build.sha)
    if not build.status.is_final:
        return waits_for_build(run, run.sentence, now)
    which = f"build {build.id}, which was to make it again from {short(build.sha)}"
    sentence = f"Its image is gone, and {which}, {_ended(build)}: {build.sentence}"
    return Final(RunStatus.FAILED, Reason.IMAGE_UNAVAILABLE, sentence)


def end_of_rebuild(tx: Tx, build: Build, now: datetime) -> None:
    """What the end of a build that made an image again means for the jobs that have the gone one deployed."""
    event, gone = (EventType.BUILD, str(build.id)), rebuilds.digests(tx, build)
    if build.status is BuildStatus.SUCCEEDED:
        _move(tx, build, gone, event, now)
        return
    which = f"Build {build.id}, which was to make its image again from {short(build.sha)}"
    sentence = (
        f"{which}, {_ended(build)}: the image that is deployed is gone, and the next run asks for it again."
    )
    for job in rebuilds.jobs_with(tx, build.project_id, gone):
        _decide(tx, event, job.id, build, Verdict.SKIPPED, sentence, now)


@dataclass(frozen=True)
class Images:
    """By job, for a deployment: its images, and the builds that make those again which are gone.

    Until such a build is over, its job's image is the one that is gone, named with that build.
    """

    by_job: Mapping[int, Deployed]
    awaited: Mapping[int, Build]


def images_again(
    tx: Tx, project_id: int, images: Mapping[int, Deployed], gone: Collection[str], who: str, now: datetime
) -> Images:
    """With what makes those that are `gone` again. Raises Conflict for one that can't be made again."""
    by_job, awaited = dict(images), {}
    for job_id, image in images.items():
        if image.image not in gone:
            continue
        build = _made_by(tx, project_id, image.build_id, image.digest)
        if build is None:
            raise Conflict(
                f"Image {image.image} can't be had any more, so nothing was changed: push it to its registry again,"
                " or deploy another one."
            )
        again = _make_again(tx, build, who, now)
        if again.status is BuildStatus.SUCCEEDED:
            by_job[job_id] = image_by(again, image)
        else:
            by_job[job_id] = replace(image, build_id=again.id, sha=again.sha)
            awaited[job_id] = again
    return Images(by_job, awaited)


def builds_again(
    tx: Tx, build_ids: Sequence[int], gone: Collection[str], who: str, now: datetime
) -> dict[int, Build]:
    """By the builds whose images are `gone`, those that make them again."""
    found = {}
    for build in builds.with_ids(tx, build_ids).values():
        if build.image in gone:
            again = _make_again(tx, build, who, now)
            if again.rebuild_of is not None:  # else it is another source's
                found[build.id] = again
    return found


def image_by(build: Build, image: Deployed) -> Deployed:
    """The image that a build made again, in the place of the one that is gone."""
    assert build.image is not None
    assert build.digest is not None
    return replace(
        image, image=build.image, digest=build.digest, build_id=build.id, sha=build.sha, reference=None
    )


def record_rebuilds(tx: Tx, deployment_id: int, awaited: Mapping[int, Build], now: datetime) -> None:
    """The decision that a deployment waits, by the ids of the jobs whose images are made again."""
    for job_id, build in awaited.items():
        sentence = (
            f"The image that deployment {deployment_id} is for is gone; build {build.id} {_makes_it(build)}."
        )
        event = (EventType.DEPLOYMENT, f"{deployment_id}:build-{build.id}")
        _decide(tx, event, job_id, build, Verdict.QUEUED, sentence, now)


def _made_by(tx: Tx, project_id: int, build_id: int | None, digest: str | None) -> Build | None:
    """The build that made an image of the project and can do so again."""
    build = None if build_id is None else builds.with_ids(tx, [build_id]).get(build_id)
    if build is None and digest:
        build = rebuilds.made_by(tx, project_id, digest)
    return build if build is not None and build.project_id == project_id and build.sha else None


def _was_made_for(run: Run, gone: Build) -> bool:
    """Whether the run has waited for this very image: what makes it go would go on for ever."""
    is_new = gone.finished_at is not None and gone.finished_at >= run.created_at
    return run.awaited_build_id == gone.id and is_new


def _make_again(tx: Tx, gone: Build, by: str, now: datetime) -> Build:
    found = rebuilds.made_again_by(tx, gone)
    if found is not None:
        return found
    trigger = BuildTrigger(
        BuildTriggerType.REBUILD, by, of=gone.rebuild_of or gone.id, is_fork=gone.trigger.is_fork
    )
    return rebuilds.enqueue(tx, gone, trigger, now)


def _move(
    tx: Tx, build: Build, gone: Collection[str], event: Event, now: datetime, run: Run | None = None
) -> list[int]:
    """Whatever has an image deployed that is gone has the one that was made again. The ids of those jobs."""
    moved = []
    for job in rebuilds.jobs_with(tx, build.project_id, gone):
        assert job.deployed is not None
        sentence = f"The image it had is gone; build {build.id} {_makes_it(build)}, and it has that now."
        jobs.deploy(tx, job.id, replace(image_by(build, job.deployed), cause=sentence, at=now))
        its_own = run if run is not None and run.job_id == job.id else None
        _decide(tx, event, job.id, build, Verdict.DEPLOYED, sentence, now, its_own)
        moved.append(job.id)
    return moved


def _decide(
    tx: Tx,
    event: Event,
    job_id: int,
    build: Build,
    verdict: Verdict,
    sentence: str,
    now: datetime,
    run: Run | None = None,
) -> None:
    decisions.record(
        tx,
        at=now,
        event=event,
        project_id=build.project_id,
        job_id=job_id,
        verdict=verdict,
        rule=RULE,
        sentence=sentence,
        inputs={"sha": build.sha, "rebuild_of": build.rebuild_of},
        build_id=build.id,
        run_id=None if run is None else run.id,
    )


def _makes_it(build: Build) -> str:
    tense = "made" if build.status is BuildStatus.SUCCEEDED else "makes"
    return f"{tense} it again from {short(build.sha)}"


def _ended(build: Build) -> str:
    return "was cancelled" if build.status is BuildStatus.CANCELLED else "failed"
