"""The jobs that histories are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.installation import Installation
from tests.support.simulation.place import Shape

IMAGE = {"source": {"type": "image", "image": "busybox:latest"}}
TIME_LIMIT = 60  # of the job "limited"; containers may last longer


def _scheduled(policy: str) -> Mapping[str, Any]:
    schedule = {"cron": "* * * * *", "concurrency_policy": policy}
    return {**IMAGE, "kind": "cron", "schedule": schedule}


def _pushed(place: Installation) -> None:
    place.job("report", retry_limit=2)


def _by_hand(place: Installation) -> None:
    place.job("task", **IMAGE, retry_limit=1)
    place.job("limited", **IMAGE, retry_limit=1, time_limit_seconds=TIME_LIMIT, grace_period_seconds=5)


def _by_schedule(place: Installation) -> None:
    place.job("forbids", **_scheduled("forbid"), retry_limit=1)
    place.job("replaces", **_scheduled("replace"))


def _deployed(place: Installation) -> None:
    place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy", retry_limit=1),
        place.job("nightly"),
        place.job("smoke", deploy_trigger="post-deploy"),
        place.job("notice", deploy_trigger="failed-deploy"),
    )


def _all(place: Installation) -> None:
    for make in (_pushed, _by_hand, _by_schedule, _deployed):
        make(place)


PUSHED, BY_HAND, BY_SCHEDULE = (
    Shape("pushed", _pushed),
    Shape("by-hand", _by_hand),
    Shape("scheduled", _by_schedule),
)
DEPLOYED, ALL = Shape("deployed", _deployed), Shape("all", _all)
# As likely as they are cheap.
SHAPES = (*8 * (PUSHED,), *6 * (BY_HAND,), *4 * (BY_SCHEDULE,), DEPLOYED, ALL)
