"""Images that the engine loses, and what is built and run instead."""

from __future__ import annotations

from typing import Any

from app.commands.runs import start_run
from app.domain.job.codec import overrides_from_json
from app.domain.job.records import Job
from app.domain.runs import Run, Trigger, TriggerType
from tests.support.installation import Installation
from tests.support.loops import Server

BY_ADA = Trigger(TriggerType.API, by="ada")


def built(place: Installation, server: Server, *shas: str, **changes: Any) -> Job:
    """A job with a build of each of these commits, the last of which is deployed; nothing ran."""
    job = place.job(**{"run_on_image_change": "never", **changes})
    for before, after in zip((None, *shas), shas, strict=False):
        place.push(before, after)
        server.work()
    return job


def lose(place: Installation, *images: str) -> None:
    for image in images:
        place.engine.without_image(image)


def start(place: Installation, job: Job, **overrides: Any) -> int:
    with place.db.write() as tx:
        now, changed = place.clock.now(), overrides_from_json(overrides)
        return start_run(tx, place.names, place.job_now(job), changed, BY_ADA, now)


def run_now(place: Installation, number: int = -1) -> Run:
    return place.runs()[number]


def deployed(place: Installation, job: Job) -> tuple[str, int | None, str | None]:
    """Digest, build and commit."""
    has = place.job_now(job).deployed
    assert has is not None
    return has.digest, has.build_id, has.sha


def of_gone(place: Installation) -> list[tuple[str, str | None, str]]:
    """(event, job, verdict) of the decisions about images that are gone."""
    return [each[:3] for each in place.verdicts() if each[3] == "image_gone"]
