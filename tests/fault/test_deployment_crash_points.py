"""A server is killed at every contact with the world while an app is deployed; another one goes on to the same end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.domain.deployments import DeploymentStatus
from app.domain.runs import RunStatus
from app.engines.fake import Script
from app.store import jobs
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.mortal import Fuse, Killed

OLD, NEW = commit("old"), commit("new")
MEMBERS = ("migrate", "nightly", "smoke", "notice")


@contextmanager
def pushed(root: Path, *, broken: bool) -> Iterator[Installation]:
    """A push to an app with one hook of each kind has been recorded."""
    place = Installation(root)
    place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy"),
        place.job("nightly"),
        place.job("smoke", deploy_trigger="post-deploy"),
        place.job("notice", deploy_trigger="failed-deploy"),
    )
    if broken:
        place.engine.script("run-1-*", Script(exit_code=1))
    place.push(OLD, NEW, guid="one")
    try:
        yield place
    finally:
        place.close()


def outcome(place: Installation) -> object:
    """Everything that must be the same whoever was killed and when; times and ids of rows aside."""
    (deployment,) = place.deployments()
    with place.db.read() as tx:
        live = [(job.name, job.deployed and job.deployed.sha) for job in jobs.page(tx)]
    assert not place.world.containers, "a container is left over"
    assert set(place.world.starts.values()) == {1}, "a container was started twice"
    assert len(place.world.starts) == len(place.runs())
    return (
        deployment.status,
        deployment.warning,
        [(step.kind, step.job, step.status) for step in deployment.steps],
        [(run.job, run.trigger.type, run.sha, run.status, run.attempts) for run in place.runs()],
        sorted(live),
        place.verdicts(),
        place.backend.built.keys(),
    )


def untouched(root: Path, *, broken: bool) -> tuple[Sequence[str], object]:
    """The contacts of a history in which nobody is killed, and how it ends."""
    with pushed(root, broken=broken) as place:
        server = place.server("first")
        server.work()
        return server.fuse.burnt, outcome(place)


@pytest.mark.parametrize("broken", [False, True], ids=["live", "migration-fails"])
def test_killed_at_every_point(tmp_path: Path, broken: bool) -> None:
    points, expected = untouched(tmp_path / "place", broken=broken)
    for number, point in enumerate(points, start=1):
        with pushed(tmp_path / "place", broken=broken) as place:
            with suppress(Killed):
                place.server("first", Fuse(number)).work()
            place.server("second").work()
            assert outcome(place) == expected, f"killed at point {number}: {point}"


def test_what_is_expected(tmp_path: Path) -> None:
    def of(job: str) -> Callable[[Installation], Sequence[RunStatus]]:
        return lambda place: [run.status for run in place.runs() if run.job == job]

    with pushed(tmp_path / "place", broken=False) as place:
        place.server("first").work()
        assert place.deployments()[0].status is DeploymentStatus.SUCCEEDED
        assert Counter(run.job for run in place.runs()) == Counter(migrate=1, nightly=1, smoke=1)
    with pushed(tmp_path / "place", broken=True) as place:
        place.server("first").work()
        assert place.deployments()[0].status is DeploymentStatus.FAILED
        assert of("migrate")(place) == [RunStatus.FAILED]
        assert of("notice")(place) == [RunStatus.SUCCEEDED]
        assert len(place.runs()) == 2
