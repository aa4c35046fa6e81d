"""Two servers on one engine through hundreds of histories of faults: each from a seed, so that any can be repeated."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.domain.builds import BuildReason, BuildStatus
from app.domain.runs import Reason, RunStatus
from app.engines.base import ContainerSpec, Handle, StartUncertain
from app.engines.fake import Fault, Script
from app.orchestration.execution import running
from tests.support.loops import Fuse, Installation, Killed, Server, commit

HISTORIES = 40
OLD, NEW = commit("old"), commit("new")
FAULTY = ("start", "logs", "wait", "remove", "owned", "stop")
LONGER_THAN_A_SERVER_IS_BELIEVED_ALIVE = 40.0


class LateStarts:
    """A start request may be answered by nothing and arrive later, unless a newer one for its key came meanwhile."""

    def __init__(self, place: Installation, chance: random.Random) -> None:
        self._engine = place.engine
        self._chance = chance
        self._on_their_way: dict[str, tuple[ContainerSpec, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:
        self._on_their_way.pop(key, None)  # the container it names has another name now
        if self._chance.random() < 0.15:
            self._on_their_way[key] = spec, token
            raise StartUncertain("The engine did not answer in time.")
        return self._engine.start(spec, key, token, is_new=is_new)

    def arrive(self) -> None:
        while self._on_their_way:
            key, (spec, token) = self._on_their_way.popitem()
            with suppress(Exception):
                self._engine.start(spec, key, token)


class StallingFuse(Fuse):
    """Now and then, a server that touches the world stands still so long that the other one is at it."""

    def __init__(self, history: History, blows_at: int | None) -> None:
        super().__init__(blows_at)
        self._history = history

    def burn(self, point: str) -> None:
        super().burn(point)
        if point != "before commit":  # a transaction can't stand still so long: the database gives it up
            self._history.meanwhile(self)


class History:
    def __init__(self, place: Installation, seed: int) -> None:
        self.chance = random.Random(seed)
        self.place = place
        self.late = LateStarts(place, self.chance)
        self.faults_go_on = True
        self._count = 0
        self._stalled = 0
        self.servers = [self.server() for _ in range(2)]

    def server(self) -> Server:
        self._count += 1
        blows_at = self.chance.randrange(1, 120) if self.faults_go_on and self.chance.random() < 0.7 else None
        fuse = StallingFuse(self, blows_at)
        server = self.place.server(f"server-{self._count}", fuse, alone=False)
        server.runner.engine._wrapped = self.late  # type: ignore[attr-defined]
        return server

    def meanwhile(self, stalled: Fuse) -> None:
        self.late.arrive() if self.chance.random() < 0.1 else None
        if self._stalled or not self.faults_go_on or self.chance.random() > 0.03:
            return
        self._stalled += 1
        self.place.clock.advance(LONGER_THAN_A_SERVER_IS_BELIEVED_ALIVE)
        for other in self.servers:
            if other.fuse is not stalled:
                self.turn(other)
        self._stalled -= 1

    def turn(self, server: Server) -> None:
        try:
            server.reconcile()
            server.turn()
        except Killed:
            self.servers[self.servers.index(server)] = self.server()

    def run(self) -> None:
        for _ in range(12):
            for _ in range(self.chance.randrange(2)):
                fault = self.chance.choice(list(Fault))
                self.place.engine.fail(self.chance.choice(FAULTY), fault, self.chance.randrange(1, 3))
            self.turn(self.chance.choice(self.servers))
            self.place.clock.advance(self.chance.choice([0, 1, 15]))
        self.faults_go_on = False
        self.place.world.faults.clear()
        self.place.clock.advance(LONGER_THAN_A_SERVER_IS_BELIEVED_ALIVE)
        self.late.arrive()
        self.servers = []
        self.server().work()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ENGINE_ASKED_EVERY", 0)


def test_whatever_happens_nothing_runs_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    for seed in range(HISTORIES):
        place = Installation(tmp_path / "place")
        place.job(retry_limit=2)
        lines = [b"one\n", b"two\n", b"three\n"]
        codes = random.Random(seed).choices([0, 3], k=3)
        for attempt, code in enumerate(codes, start=1):
            place.engine.script(f"run-*-{attempt}-0", Script(output=lines, exit_code=code))
        place.push(OLD, NEW)
        History(place, seed).run()
        check(place, codes, seed)
        place.close()


def check(place: Installation, codes: list[int], seed: int) -> None:
    starts = dict(place.world.starts)
    assert set(starts.values()) <= {1}, f"seed {seed}: started twice: {starts}"
    (build,) = place.builds()
    if build.status is BuildStatus.FAILED:
        assert build.reason is BuildReason.INTERRUPTED, f"seed {seed}: {build}"
        assert [each.verdict for each in place.decisions()] == ["built", "skipped"], f"seed {seed}"
        return
    assert [each.verdict for each in place.decisions()] == ["built", "started"], f"seed {seed}"
    (run,) = place.runs()
    assert run.status in (RunStatus.SUCCEEDED, RunStatus.FAILED), f"seed {seed}: {run}"
    if run.status is RunStatus.SUCCEEDED:
        assert (run.exit_code, codes[run.attempts - 1]) == (0, 0), f"seed {seed}: {run}"
    elif run.reason is Reason.EXIT_NONZERO:
        assert (run.attempts, codes) == (3, [3, 3, 3]), f"seed {seed}: {run}"
    else:
        assert run.reason in (Reason.ENGINE_FAILED, Reason.INTERRUPTED), f"seed {seed}: {run}"
