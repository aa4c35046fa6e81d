"""A server with nothing to do sleeps; how often its loops turn is counted on a clock that the test moves."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette

from app.bootstrap.loops import make_supervisor
from app.bootstrap.parts import make_parts
from app.config import Settings
from app.installation import open_installation
from app.runtime.signals import Waker
from app.store import runs, schedules
from app.store.database import Database
from app.web.http_server import SleepingServer
from app.workers.lookout import LOOK_SECONDS, Lookout
from app.workers.loops import Loop
from tests.support.clock import Clock
from tests.support.stored import add_job, add_run

MINUTES = 20
MOST_TURNS_A_SECOND = 1.5
OF_EACH_WORKER = MINUTES / 5 + 1


@pytest.fixture(autouse=True)
def others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is told to end ends all streams of the process, from then on: they read this."""
    monkeypatch.setattr(AppStatus, "should_exit", False)


@contextmanager
def idle_loops(data: Path, clock: Clock) -> Iterator[list[Loop]]:
    """The loops of a server whose installation is empty."""
    settings = Settings(data=data, engine="process", _env_file=None)
    with open_installation(settings) as installation:
        parts = make_parts(replace(installation, clock=clock))
        supervisor = make_supervisor(parts, alone=True)
        supervisor.reconciler.register()
        yield supervisor.loops()
        parts.inbox.close()
        parts.engine.close()


def turns(loops: list[Loop], clock: Clock, seconds: float) -> Counter[str]:
    """How often each loop looks in so much time, as its waker and what it returned say. The first turns, at the start,
    are not counted.
    """
    began = clock.ticks()
    due = [began + loop.look() for loop in loops]
    counted: Counter[str] = Counter()
    while (at := min(due)) <= began + seconds:
        clock.advance(max(at - clock.ticks(), 0))
        number = due.index(at)
        counted[loops[number].name] += 1
        due[number] = clock.ticks() + loops[number].look()
        for other, loop in enumerate(loops):
            if loop.waker.wait(0):
                due[other] = clock.ticks()
    return counted


def test_an_idle_server_turns_seldom(tmp_path: Path) -> None:
    clock = Clock()
    with idle_loops(tmp_path / "data", clock) as loops:
        counted = turns(loops, clock, 60 * MINUTES)
    assert counted["lookout"] == 60 * MINUTES / LOOK_SECONDS
    workers = {name: count for name, count in counted.items() if name.startswith(("runner-", "builder-"))}
    assert workers
    assert max(workers.values()) <= OF_EACH_WORKER
    for name in (
        "watcher",
        "health",
        "metrics",
        "scheduler",
        "intake",
        "deployments",
        "flows",
        "notifications",
    ):
        assert counted[name] <= OF_EACH_WORKER, name
    assert counted.total() / (60 * MINUTES) <= MOST_TURNS_A_SECOND, counted


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/jobyard.db"
    db = Database(url)
    db.migrate()
    db.close()
    return url


def test_what_another_process_commits_wakes_whom_it_is_for(database: str, clock: Clock) -> None:
    ours, theirs = Database(database), Database(database)
    lookout, for_runs, for_schedules = Lookout(ours, clock), Waker(), Waker()
    lookout.watch(for_runs, runs.due_at)
    lookout.watch(for_schedules, schedules.next_due_at)
    assert lookout.step() == LOOK_SECONDS
    assert not for_runs.wait(0)
    add_run(theirs, add_job(theirs))
    lookout.step()
    assert for_runs.wait(0)
    assert not for_schedules.wait(0)
    clock.advance(LOOK_SECONDS)
    lookout.step()
    assert not for_runs.wait(0), "nothing has changed since"
    for db in (ours, theirs):
        db.close()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_was_set_wakes_who_waits_for_a_time(database: str, clock: Clock, seconds: float) -> None:
    db = Database(database)
    lookout, for_runs = Lookout(db, clock), Waker()
    lookout.watch(for_runs, runs.due_at)
    add_run(db, add_job(db))
    lookout.step()
    assert for_runs.wait(0)
    clock.set_by(seconds)
    lookout.step()
    assert for_runs.wait(0)
    db.close()


class CountingLoop(asyncio.SelectorEventLoop):
    """Notes what is to be done at a later time."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[Any] = []

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        self.timers.append(callback)
        return super().call_at(when, callback, *args, context=context)


def test_the_web_server_has_no_timer_while_nobody_asks() -> None:
    loop = CountingLoop()
    server = SleepingServer(uvicorn.Config(Starlette(), log_level="error", lifespan="off"))

    async def serve_for_a_moment(listener: socket.socket) -> list[Any]:
        serving = asyncio.ensure_future(server._serve([listener]))
        for _ in range(100):  # turns in which it starts, and could set one
            await asyncio.sleep(0)
        assert server.started
        timers = list(loop.timers)
        server.handle_exit(15, None)
        await serving
        return timers

    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert loop.run_until_complete(serve_for_a_moment(listener)) == []
    loop.close()


def test_a_signal_before_it_serves_ends_it() -> None:
    server = SleepingServer(uvicorn.Config(Starlette()))
    server.handle_exit(15, None)
    asyncio.run(asyncio.wait_for(server.main_loop(), 20))
