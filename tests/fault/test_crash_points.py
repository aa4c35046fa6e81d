"""A server is killed at every single contact with the world, from the push to the end of the run; another goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.domain.builds import BuildStatus
from app.domain.runs import RunStatus
from app.engines.fake import Script
from app.store import run_attempts
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.mortal import Fuse, Killed

OLD, NEW = commit("old"), commit("new")
OUTPUT = b"".join(b"line %d\n" % number for number in range(5))


@contextmanager
def pushed(root: Path) -> Iterator[Installation]:
    """A push to a job whose first attempt fails and whose second succeeds has been recorded."""
    place = Installation(root)
    place.job(retry_limit=1)
    lines = OUTPUT.splitlines(keepends=True)
    place.engine.script("*", Script(output=lines))
    place.engine.script("run-*-1-0", Script(output=lines, exit_code=3))
    place.push(OLD, NEW, guid="one")
    try:
        yield place
    finally:
        place.close()


def points(root: Path) -> list[str]:
    """All contacts of a history in which nobody is killed."""
    with pushed(root) as place:
        server = place.server("first")
        server.work()
        check(place)
        return server.fuse.burnt


def check(place: Installation) -> None:
    """Nothing lost, nothing doubled."""
    assert place.delivery("one").status == "processed"
    (build,) = place.builds()
    assert (build.status, build.digest) == (BuildStatus.SUCCEEDED, image_of(NEW))
    (run,) = place.runs()
    assert (run.status, run.exit_code, run.attempts) == (RunStatus.SUCCEEDED, 0, 2)
    assert (run.succeeded, run.failed, run.active) == (1, 1, 0)
    assert place.world.starts == Counter({f"run-{run.id}-1-0": 1, f"run-{run.id}-2-0": 1})
    assert not place.world.containers, "a container is left over"
    assert place.verdicts() == [
        ("push", "report", "built", "push"),
        ("build", "report", "started", "run_on_image_change:always"),
    ]
    with place.db.read() as tx:
        attempts = run_attempts.attempts_of(tx, run.id)
    assert [(each.number, each.status, each.exit_code) for each in attempts] == [
        (1, RunStatus.FAILED, 3),
        (2, RunStatus.SUCCEEDED, 0),
    ]
    for number in (1, 2):
        assert place.attempt_log(run, number) == OUTPUT
    assert image_of(NEW).encode() in place.build_log(build)


def test_all_points_are_met(tmp_path: Path) -> None:
    met = set(points(tmp_path / "place"))
    assert {"before commit", "after commit", "before start", "after start", "in logs", "before wait"} <= met
    assert {"before build", "after build", "before fetch", "after remove", "before owned"} <= met


@pytest.mark.parametrize("reconcile_first", [True, False], ids=["reconciled", "loops-first"])
def test_killed_at_every_point(tmp_path: Path, reconcile_first: bool) -> None:
    """The loops of a server run side by side: any may be ahead of the reconciler that registers the server."""
    step = 1 if reconcile_first else 3  # what differs is over early
    for number, point in list(enumerate(points(tmp_path / "place"), start=1))[::step]:
        with pushed(tmp_path / "place") as place, explained(f"killed at point {number}: {point}"):
            with suppress(Killed):
                place.server("first", Fuse(number)).work(reconcile_first=reconcile_first)
            place.server("second").work()
            check(place)


def test_killed_again_and_again(tmp_path: Path) -> None:
    """Servers that are killed one after the other, each a little later in what is left."""
    count = len(points(tmp_path / "place"))
    for seed in range(20):
        chance = random.Random(seed)
        fuses = [chance.randrange(1, count) for _ in range(2)]
        with pushed(tmp_path / "place") as place, explained(f"killed at {fuses}"):
            for number, fuse in enumerate(fuses):
                with suppress(Killed):
                    place.server(f"server-{number}", Fuse(fuse)).work(reconcile_first=chance.random() < 0.5)
            place.server("last").work()
            check(place)


@contextmanager
def explained(text: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{text}: {error}") from error
