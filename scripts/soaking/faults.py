"""One part for each thing that goes wrong around a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM
from statistics import median

from scripts.soaking.lane import Lane, lane
from scripts.soaking.tally import Tally
from tests.support.private_engine import PrivateEngine, private_engine
from tests.support.server import TOKEN, JobyardServer
from tests.support.shifted import ShiftedServer
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually

PAGES = ("/", "/projects", "/api/v1/projects", "/api/v1/deliveries", "/api/v1/runs", "/healthz")
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ROUNDS = 20  # of all pages
LEAST = 0.010  # seconds, for what is told apart from chance
LEFT_ALONE = "interrupted"


def restore(root: Path, seed: int, minutes: float) -> Tally:
    """A backup is restored beside the living server, both on one engine, and both go on."""
    tally = Tally("restore")
    until = time.monotonic() + minutes * 60
    with lane(root, Random(seed), is_scheduled=False) as live:
        _work(live, 6)
        live.servers[0].command("backup", root / "backup.tar")
        copy = JobyardServer(root / "copy" / "data")
        copy.data.parent.mkdir()
        copy.command("restore", root / "backup.tar")
        beside = live.copied(copy)
        beside.facts.restores += 1
        beside.may_fail = {LEFT_ALONE}
        beside.start(copy)
        try:
            while time.monotonic() < until:
                _work(live, 1)
                _work(beside, 1)
            live.settle(tally)
            beside.settle(tally)
        finally:
            copy.close()
    return tally


def disk(root: Path, seed: int, minutes: float) -> Tally:
    """The disk of the data is full for a while, again and again, with jobs and builds under way."""
    tally = Tally("disk")
    root.mkdir(parents=True)
    until = time.monotonic() + minutes * 60
    with (
        small_disk(root / "disk", "size=64m") as small,
        lane(root / "lane", Random(seed), JobyardServer(small.path / "data"), is_scheduled=False) as full,
    ):
        server = full.servers[0]
        while time.monotonic() < until:
            _work(full, 6)
            full.facts.full += 1
            small.fill()
            refused = [full.hosted.push({"unique": str(number)}).status for number in range(2)]
            eventually(lambda: server.http.get("/readyz").status_code == 503)
            tally.say(server.http.get("/readyz").json()["detail"])
            refused.append(full.hosted.push({"unique": "last"}).status)
            time.sleep(full.chance.uniform(1, 6))
            small.make_room()
            eventually(lambda: server.http.get("/readyz").status_code == 200)
            tally.notes.append(f"pushes while it was full were answered {refused}")
        full.settle(tally)
    return tally


@contextmanager
def _on_engine(
    root: Path, seed: int, *, live_restore: bool, seconds: float
) -> Iterator[tuple[Lane, PrivateEngine]]:
    root.mkdir(parents=True)
    (root / "engine").mkdir()
    with private_engine(root / "engine", live_restore=live_restore) as engine:
        server = JobyardServer(root / "data", docker_host=engine.url)
        options = {"docker_host": engine.url, "is_scheduled": False, "build_seconds": seconds}
        with lane(root / "lane", Random(seed), server, **options) as made:
            yield made, engine


def engine_restart(root: Path, seed: int, minutes: float) -> Tally:
    """The engine is restarted in the middle of a build, with jobs running beside it."""
    tally = Tally("engine-restart")
    for live_restore in (True, False):
        until = time.monotonic() + minutes * 30
        with _on_engine(root / f"keeps-{live_restore}", seed, live_restore=live_restore, seconds=4) as (
            made,
            engine,
        ):
            made.has_all_events = False  # the engine forgets them
            made.may_fail = set() if live_restore else {"engine_failed"}
            server = made.servers[0]
            while time.monotonic() < until:
                for job in ("task", "long", "fails"):
                    made.run(server, job)
                before = len(made.accepted)
                made.push(server)
                assert len(made.accepted) > before
                eventually(lambda: made.newest_build_says("building 2"), 60)
                made.facts.restarts += 1
                how = made.chance.choice((SIGTERM, SIGKILL))
                engine.end(how)
                time.sleep(made.chance.uniform(0, 3))
                engine.start()
                tally.notes.append(f"restarted in a build by {how.name}, live restore {live_restore}")
            made.settle(tally)
    return tally


def hung_engine(root: Path, seed: int, minutes: float) -> Tally:
    """The engine takes calls and answers none; pages and API answer as they usually do."""
    tally = Tally("hung-engine")
    until = time.monotonic() + minutes * 60
    with _on_engine(root, seed, live_restore=True, seconds=1) as (made, engine):
        server = made.servers[0]
        _times_of_pages(server)  # the first ones compile
        while time.monotonic() < until:
            for job in ("task", "long", "fails", "task"):
                made.run(server, job)
            usual = _times_of_pages(server)
            made.facts.engine_faults += 1
            with engine.stopped():
                eventually(lambda: server.http.get("/readyz").status_code == 503, 60)
                tally.say(server.http.get("/readyz").json()["detail"])
                hung = _times_of_pages(server)
                made.run(server, "task")
            eventually(lambda: server.http.get("/readyz").status_code == 200, 60)
            for page in PAGES:
                ours, theirs = median(hung[page]) * 1000, median(usual[page]) * 1000
                tally.notes.append(f"{page}: {theirs:.1f} ms usually, {ours:.1f} ms while the engine hangs")
                if ours > 2 * max(theirs, LEAST * 1000):
                    tally.untrue.append(f"{page} took {ours:.1f} ms instead of {theirs:.1f} ms")
        made.settle(tally)
    return tally


def _times_of_pages(server: JobyardServer) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {page: [] for page in PAGES}
    for _ in range(ROUNDS):
        for page in PAGES:
            began = time.monotonic()
            answer = server.http.get(page, headers=HEADERS)
            times[page].append(time.monotonic() - began)
            assert answer.status_code == 200, f"{page}: {answer.status_code}"
    return times


def clock_back(root: Path, seed: int, minutes: float) -> Tally:
    """The server's clock is set forward and back by up to two hours, with jobs that are due every minute."""
    tally = Tally("clock-back")
    until = time.monotonic() + minutes * 60
    root.mkdir(parents=True)
    with lane(root / "lane", Random(seed), ShiftedServer(root / "data")) as made:
        server = made.servers[0]
        assert isinstance(server, ShiftedServer)
        forward = True
        while time.monotonic() < until:
            _work(made, 4)
            time.sleep(made.chance.uniform(1, 10))
            seconds = made.chance.randrange(60, 7200)
            server.set_by(seconds if forward else -seconds)
            made.facts.set_forward += forward
            made.facts.set_back += not forward
            tally.notes.append(f"the clock was set {'forward' if forward else 'back'} by {seconds} s")
            forward = not forward
        made.settle(tally)
    return tally


def _work(of: Lane, times: int) -> None:
    for _ in range(times):
        of.act(of.servers[0])
