"""A cancel reaches what a run or build is still prepared with: a pull, a registry or a Git server that hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.checkout import GitStopped
from app.commands.runs import start_run
from app.domain.builds import BuildReason, BuildStatus
from app.domain.job.effective import NOTHING
from app.domain.job.records import Deployed
from app.domain.runs import Reason, RunStatus, Trigger, TriggerType
from app.store import builds, jobs, runs
from tests.support.background import InBackground, stop_what_has_to_end
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")


class HangingRegistry:
    """An engine whose registry takes a question and never answers, until the test is over."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.asked, self.over = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def resolve(self, reference: str, login: Any = None, **_: Any) -> Any:
        self.asked.set()
        assert self.over.wait(30)
        return self._engine.resolve(reference, login)


@pytest.mark.parametrize("is_deployed", [False, True])
def test_a_run_whose_registry_hangs_is_cancelled_at_once_and_never_starts(
    place: Installation, server: Server, is_deployed: bool
) -> None:
    tag = "registry.example.com/team/tool:v1"
    job = place.job(source={"type": "image", "image": tag})
    if (
        is_deployed
    ):  # by its digest: the engine has no such image, and so it is pulled when the container starts
        image = place.engine.resolve(tag)
        place.engine.without_image(image.image)
        with place.db.write() as tx:
            jobs.deploy(tx, job.id, Deployed(image.image, image.digest, None, None, "", place.clock.now()))
    with place.db.write() as tx:
        trigger = Trigger(TriggerType.API, by="ada")
        run_id = start_run(tx, place.names, place.job_now(job), NOTHING, trigger, place.clock.now())
    registry = HangingRegistry(place.engine)
    object.__setattr__(server.runner, "engine", registry)
    run = InBackground(server.runner.step)
    assert registry.asked.wait(10)
    with place.db.write() as tx:
        runs.cancel(tx, runs.with_id(tx, run_id), Reason.CANCELLED, "Cancelled by ada.", place.clock.now())
    stop_what_has_to_end(server, run)
    run.join()
    (ended,) = place.runs()
    assert (ended.status, ended.reason, ended.sentence) == (
        RunStatus.CANCELLED,
        Reason.CANCELLED,
        "Cancelled by ada.",
    )
    registry.over.set()
    server.work()
    assert place.world.starts.total() == 0


def test_a_build_that_is_fetched_for_is_told_to_stop(place: Installation, server: Server) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()
    fetching, stopped = threading.Event(), threading.Event()

    def fetch(*_: Any, should_stop: threading.Event, **__: Any) -> str:
        fetching.set()
        assert should_stop.wait(10)
        stopped.set()
        raise GitStopped

    server.place.repository.fetch = fetch  # type: ignore[method-assign]
    build = InBackground(server.builder.step)
    assert fetching.wait(10)
    with place.db.write() as tx:
        builds.cancel(
            tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
        )
    stop_what_has_to_end(server, build)
    assert stopped.is_set()
    assert place.builds()[0].status is BuildStatus.CANCELLED


def test_a_build_that_waits_for_what_comes_with_its_commit_is_told_to_stop(
    place: Installation, server: Server
) -> None:
    """For submodules or LFS files of another server; meanwhile its place is lent."""
    place.job(build__submodules=True)
    place.push(A, B)
    server.intake.step()
    asking, lent = threading.Event(), threading.Event()
    server.builder.slots.on_lent = lent.set

    @contextmanager
    def tree(*_: Any, should_stop: threading.Event, **__: Any) -> Iterator[Path]:
        asking.set()
        assert should_stop.wait(10)
        raise GitStopped
        yield Path()

    server.place.repository.tree = tree  # type: ignore[method-assign]
    build = InBackground(server.builder.step)
    assert asking.wait(10)
    assert lent.wait(10)
    with place.db.write() as tx:
        builds.cancel(
            tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
        )
    stop_what_has_to_end(server, build)
    assert place.builds()[0].status is BuildStatus.CANCELLED
    assert server.builder.slots.lent_out == 0


def test_who_was_replaced_is_told_the_name_of_the_run(place: Installation, server: Server) -> None:
    schedule = {"cron": "0 0 1 1 *", "concurrency_policy": "replace"}
    job = place.job(kind="cron", schedule=schedule)
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    place.push(B, C)
    server.intake.step()
    server.builder.step()
    first, second = place.runs()
    assert (first.job_id, first.sentence) == (job.id, f"Replaced by {second.name}.")
