"""A server is killed at every single contact with the world, from the push to the end of the run; another goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.domain.builds import BuildStatus
from app.domain.runs import RunStatus
from app.engines.fake import Script
from tests.support.loops import Fuse, Installation, Killed, commit, image_of

OLD, NEW = commit("old"), commit("new")
OUTPUT = b"".join(b"line %d\n" % number for number in range(5))


@contextmanager
def pushed(root: Path) -> Iterator[Installation]:
    """A push to a job whose first attempt fails and whose second succeeds has been recorded."""
    root.mkdir()
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
        from app.store import runs

        attempts = runs.attempts_of(tx, run.id)
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


def test_killed_at_every_point(tmp_path: Path) -> None:
    for number, point in enumerate(points(tmp_path / "whole"), start=1):
        with pushed(tmp_path / str(number)) as place:
            with pytest.raises(Killed):
                place.server("first", Fuse(number)).work()
            place.server("second").work()
            with explained(f"killed at point {number}: {point}"):
                check(place)


@contextmanager
def explained(text: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{text}: {error}") from error
