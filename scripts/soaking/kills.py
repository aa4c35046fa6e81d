"""Servers that are killed (SIGKILL) at moments of chance and at every one that can be told from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count, cycle
from pathlib import Path
from random import Random

from sqlalchemy.exc import OperationalError

from scripts.soaking.lane import Lane
from scripts.soaking.tally import Tally
from tests.support.databases import migrated_postgres
from tests.support.forked import ForkedServer, Nursery
from tests.support.server import JobyardServer

LANES = 4  # installations side by side
SHORTEST, LONGEST = 0.1, 3.0  # seconds of a life
MOST_OPEN = 8  # with more than that under way, nothing new is asked for
REST_EVERY, REST_SECONDS = (
    10,
    45.0,
)  # lives, until one in which what waits for a server that stays up may go on
POLL = 0.03
KEY = "the secret key of two servers, for this run of the soak"

Happened = Callable[[], object]


def moments(lane: Lane) -> dict[str, Callable[[], Happened]]:
    """Each looks at how things are, and gives what tells whether the moment has come since."""

    def of_container(action: str) -> Callable[[], Happened]:
        def begin() -> Happened:
            before = len(lane.events.of(action))
            return lambda: len(lane.events.of(action)) > before

        return begin

    def of_rows(table: str, status: str) -> Callable[[], Happened]:
        def number() -> int:
            return lane.number(f"SELECT count(*) FROM {table} WHERE status = '{status}'")

        def begin() -> Happened:
            before = number()
            return lambda: number() > before

        return begin

    def accepted() -> Happened:
        before = len(lane.accepted)
        return lambda: len(lane.accepted) > before

    return {
        "a push is accepted": accepted,
        "a delivery is processed": of_rows("delivery", "processed"),
        "a build begins": of_rows("build", "running"),
        "a build succeeds": of_rows("build", "succeeded"),
        "a run is claimed": of_rows("run", "running"),
        "a container is created": of_container("create"),
        "a container starts": of_container("start"),
        "a container ends": of_container("die"),
        "a container is removed": of_container("destroy"),
        "a run succeeds": of_rows("run", "succeeded"),
    }


class Killer:
    """Ends servers of one lane until `kills` or `deadline` (of `time.monotonic`) is reached."""

    def __init__(self, lane: Lane, tally: Tally, kills: int, deadline: float) -> None:
        self.lane, self.tally = lane, tally
        self._kills, self._deadline = kills, deadline
        self._moments = cycle(moments(lane).items())

    def work(self) -> None:
        for number in count(1):
            if self.lane.facts.kills >= self._kills or time.monotonic() >= self._deadline:
                return
            server = self.lane.chance.choice(self.lane.servers)
            if number % REST_EVERY == 0:
                self._rest()
            killer = threading.Thread(target=self._kill, args=[server])
            killer.start()
            while killer.is_alive():
                if self.lane.open_work() < MOST_OPEN:
                    self.lane.act(self.lane.chance.choice(self.lane.servers))
                killer.join(0.05)
            self.lane.start(server)

    def _rest(self) -> None:
        until = min(time.monotonic() + REST_SECONDS, self._deadline)
        while time.monotonic() < until and self.lane.open_work() > 2:
            time.sleep(0.2)

    def _kill(self, server: JobyardServer) -> None:
        name = "any"
        until = time.monotonic() + LONGEST
        if self.lane.chance.random() < 0.5:
            name, begin = next(self._moments)
            has_come = begin()
            while time.monotonic() < until and not _is_true(has_come):
                time.sleep(POLL)
            name = name if time.monotonic() < until else "any"
        else:
            time.sleep(self.lane.chance.uniform(SHORTEST, LONGEST))
        self.lane.kill(server)
        self.tally.moments[name] += 1


def _is_true(happened: Happened) -> bool:
    try:
        return bool(happened())
    except OperationalError:  # the database is busy
        return False


def _in_lane(
    root: Path, seed: int, kills: int, deadline: float, part: str, servers: list[JobyardServer]
) -> Tally:
    tally = Tally(part)
    with Lane(root, Random(seed), servers) as lane:
        Killer(lane, tally, kills, deadline).work()
        lane.settle(tally)
    return tally


def kills(root: Path, seed: int, minutes: float, wanted: int) -> Tally:
    """One server on SQLite in each of several lanes; `wanted` kills in all, in so many minutes."""
    deadline = time.monotonic() + minutes * 60
    lanes = min(LANES, max(1, wanted // 12))
    each = [wanted // lanes + (number < wanted % lanes) for number in range(lanes)]

    def lane(number: int) -> Tally:
        folder = root / f"lane-{number}"
        folder.mkdir(parents=True)
        servers = [ForkedServer(folder / "data", nursery)]
        return _in_lane(folder, seed + number, each[number], deadline, "kills", servers)

    tally = Tally("kills")
    with closing(Nursery()) as nursery, ThreadPoolExecutor(lanes) as pool:
        for found in pool.map(lane, range(lanes)):
            tally.add(found)
    return tally


def two_servers(root: Path, seed: int, minutes: float, wanted: int) -> Tally:
    """On one database of PostgreSQL; either is killed while the other goes on."""
    root.mkdir(parents=True)
    with migrated_postgres() as cluster, closing(Nursery()) as nursery:
        url = cluster.create("template0")
        servers = [
            ForkedServer(root / f"data-{name}", nursery, database_url=url, secret_key=KEY)
            for name in ("one", "two")
        ]
        deadline = time.monotonic() + minutes * 60
        return _in_lane(root, seed, wanted, deadline, "two servers", servers)
