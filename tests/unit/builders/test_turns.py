"""Builds that could get an image by one another's login go one after the other, in the order in which they came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.backends.base import BuildCancelled, BuildRequest, BuildTimedOut, Login
from builders.backends.buildkit import BuildKitCli
from builders.backends.cli import Cli
from builders.backends.registry_access import Access
from builders.backends.turns import WAITING, Turns
from tests.support.waiting import eventually

HOST = "r.example.com"
ADA, BEN = Login("ada", "one"), Login("ada", "another")
OURS = Access(frozenset({HOST}), {HOST: ADA})
THEIRS = Access(frozenset({HOST}))
ELSEWHERE = Access(frozenset({"other.example.com"}))
ANY = Access(None)
BOUND_SECONDS = 20


class Build:
    """A build in a thread of its own, which goes on until it is told to end."""

    def __init__(self, turns: Turns, access: Access) -> None:
        self.waits, self.builds, self.end, self.cancel = (threading.Event() for _ in range(4))
        self.said: list[str] = []
        self._turns, self._access = turns, access
        self._pool = ThreadPoolExecutor(1)
        self.done: Future[None] = self._pool.submit(self._build)

    def _build(self) -> None:
        with self._turns.turn(self._access, self._say, self._check):
            self.builds.set()
            assert self.end.wait(BOUND_SECONDS)

    def _say(self, sentence: str) -> None:
        self.said.append(sentence)
        self.waits.set()

    def _check(self) -> None:
        if self.cancel.is_set():
            raise BuildCancelled

    def must_build(self) -> Build:
        assert self.builds.wait(BOUND_SECONDS)
        return self

    def must_wait(self) -> Build:
        assert self.waits.wait(BOUND_SECONDS)
        assert not self.builds.is_set()
        return self

    def must_end(self) -> None:
        self.end.set()
        self.done.result(BOUND_SECONDS)
        self._pool.shutdown()


def test_only_builds_that_could_mix_logins_wait() -> None:
    turns = Turns()
    first = Build(turns, OURS).must_build()
    equal = Build(turns, OURS).must_build()
    elsewhere = Build(turns, ELSEWHERE).must_build()
    second = Build(turns, THEIRS).must_wait()
    first.must_end()
    assert not second.builds.is_set()
    equal.must_end()
    second.must_build().must_end()
    elsewhere.must_end()
    assert second.said == [WAITING]
    assert first.said == equal.said == elsewhere.said == []


def test_nobody_is_overtaken_by_one_that_it_must_not_overlap_with() -> None:
    turns = Turns()
    first = Build(turns, OURS).must_build()
    second = Build(turns, THEIRS).must_wait()
    third = Build(turns, OURS).must_wait()
    first.must_end()
    second.must_build()
    assert not third.builds.is_set()
    second.must_end()
    third.must_build().must_end()


def test_a_build_that_may_ask_any_registry_waits_for_every_other_login() -> None:
    turns = Turns()
    first = Build(turns, OURS).must_build()
    public = Build(turns, Access(frozenset())).must_build()
    unclear = Build(turns, ANY).must_wait()
    first.must_end()
    unclear.must_build()
    for build in (public, unclear):
        build.must_end()


def test_who_stops_waiting_stands_in_nobodys_way() -> None:
    turns = Turns()
    first = Build(turns, OURS).must_build()
    second = Build(turns, THEIRS).must_wait()
    third = Build(turns, OURS).must_wait()
    second.cancel.set()
    with pytest.raises(BuildCancelled):
        second.done.result(BOUND_SECONDS)
    third.must_build()
    for build in (first, third):
        build.must_end()


def test_a_build_that_fails_makes_way() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(OURS, pytest.fail, lambda: None):
        raise ZeroDivisionError
    Build(turns, THEIRS).must_build().must_end()


def accesses() -> st.SearchStrategy[Access]:
    hosts = st.none() | st.frozensets(st.sampled_from("ab"))
    return st.builds(Access, hosts, st.dictionaries(st.sampled_from("ab"), st.sampled_from((ADA, BEN))))


@settings(max_examples=40)
@given(st.lists(accesses(), min_size=2, max_size=6))
def test_no_two_builds_ever_overlap_that_must_not_and_all_get_their_turn(given_: list[Access]) -> None:
    turns, going, lock = Turns(), list[Access](), threading.Lock()

    def build(access: Access) -> bool:
        with turns.turn(access, lambda sentence: None, lambda: None):
            with lock:
                mixed = any(not access.may_overlap(other) for other in going)
                going.append(access)
            with lock:
                going.remove(access)
        return mixed

    with ThreadPoolExecutor(len(given_)) as pool:
        builds = [pool.submit(build, access) for access in given_]
        assert not any(each.result(BOUND_SECONDS) for each in builds)


# ── the backend keeps to it ──


SCRIPT = """#!/bin/sh
for a; do case $a in --iidfile=*) i=${a#*=};; --file=*) f=${a#*=};; esac; done
echo ready
while grep -q hold "$f" && ! [ -e FOLDER/go ]; do sleep 0.02; done
echo sha256:abc > "$i"
"""


class Backend:
    """With a CLI that holds a Dockerfile's build until it may go, if the text says so."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._go = folder / "go"
        program = folder / "docker"
        program.write_text(SCRIPT.replace("FOLDER", str(folder)))
        program.chmod(0o755)
        self._folder = folder
        self._builder = BuildKitCli(
            "test://no-engine", cli=Cli((str(program),), is_buildx=False), clock=clock
        )
        self.output: dict[str, bytearray] = {}

    def build(
        self,
        name: str,
        logins: dict[str, Login],
        limit: float | None = None,
        stop: threading.Event | None = None,
    ) -> str:
        self.output[name] = bytearray()
        return self._builder.build(
            BuildRequest(self._folder, dockerfile_text=f"FROM {HOST}/base\n# {name}\n", logins=logins),
            on_output=self.output[name].extend,
            on_step=lambda step: None,
            should_stop=stop or threading.Event(),
            time_limit_seconds=limit,
        ).digest

    def has_said(self, name: str, text: str) -> bool:
        return text.encode() in self.output.get(name, b"")

    def let_go(self) -> None:
        self._go.touch()


def test_a_build_with_another_login_waits_and_says_so(tmp_path: Path) -> None:
    backend = Backend(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(backend.build, "hold", {HOST: ADA})
        eventually(lambda: backend.has_said("hold", "ready"))
        second = pool.submit(backend.build, "second", {})
        eventually(lambda: backend.has_said("second", WAITING))
        assert not backend.has_said("second", "ready")
        backend.let_go()
        assert {first.result(BOUND_SECONDS), second.result(BOUND_SECONDS)} == {"sha256:abc"}
    assert backend.output["second"] == f"{WAITING}\nready\n".encode()


def test_waiting_ends_on_cancel_and_on_the_time_limit(tmp_path: Path) -> None:
    backend, stop = Backend(tmp_path), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(backend.build, "hold", {HOST: ADA})
        eventually(lambda: backend.has_said("hold", "ready"))
        with pytest.raises(BuildTimedOut, match=r"time limit of 0\.2 s"):
            backend.build("late", {HOST: BEN}, limit=0.2)
        cancelled = pool.submit(backend.build, "cancelled", {}, stop=stop)
        eventually(lambda: backend.has_said("cancelled", WAITING))
        stop.set()
        with pytest.raises(BuildCancelled):
            cancelled.result(BOUND_SECONDS)
        backend.let_go()
        first.result(BOUND_SECONDS)
    assert not backend.has_said("late", "ready")
    assert not backend.has_said("cancelled", "ready")


def test_the_time_that_was_waited_counts_towards_the_limit(tmp_path: Path) -> None:
    """And the sentence names the whole limit."""
    now, stop = [0.0], threading.Event()
    backend = Backend(tmp_path, clock=lambda: now[0])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(backend.build, "hold", {HOST: ADA}, stop=stop)
        eventually(lambda: backend.has_said("hold", "ready"))
        second = pool.submit(backend.build, "second, hold", {}, 100.0)
        eventually(lambda: backend.has_said("second, hold", WAITING))
        now[0] = 99.8
        stop.set()
        with pytest.raises(BuildCancelled):
            first.result(BOUND_SECONDS)
        with pytest.raises(BuildTimedOut, match=r"time limit of 100 s"):
            second.result(BOUND_SECONDS)
