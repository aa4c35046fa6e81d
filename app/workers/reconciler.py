"""Stored truth against the engine's: work that nobody does is taken over, left-over containers are swept."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from app.commands.continuous_delivery import after_build, end_cancelled_build
from app.domain.builds import Again, Build, BuildReason, interrupted
from app.domain.errors import EngineUnavailable
from app.domain.runs import Run
from app.engines.base import Engine, Owned, State
from app.runtime.ports import Clock, Names
from app.runtime.threads import Background, in_thread
from app.store import builds, crashes, deliveries, open_shells, runs
from app.store.claims import expire_servers, heartbeat, register_server, time_of_servers, up_since
from app.store.database import Database, Tx
from app.workers.build.builder import Builder
from app.workers.intake import Intake
from app.workers.run.container_specs import RUN_LABEL
from app.workers.run.runner import Runner

log = logging.getLogger(__name__)
LONGEST_STALL = timedelta(minutes=10)
RUN_OF_KEY = re.compile(r"run-(\d+)-\d+-\d+(?:-\w+)?")


@dataclass(frozen=True)
class Reconciler:
    """`alone` says that no other server can be alive (it holds the lock of the data directory).

    `keys_in_use` takes over the keys of secrets that were rotated meanwhile, and gives the ids of those in force.

    Runs are gone on with `in_background`, as each takes as long as its container.
    """

    db: Database
    clock: Clock
    names: Names
    engine: Engine
    runner: Runner
    builder: Builder
    intake: Intake
    server: str
    host: str
    pid: int
    alone: bool
    keys_in_use: Callable[[], str]
    in_background: Background = in_thread

    def register(self) -> None:
        """Say that this server lives. What one claims before it first has is taken for a dead server's."""
        keys = self.keys_in_use()
        with self.db.write() as tx:
            now = self.clock.now()
            alive_at = time_of_servers(tx, now)
            if not heartbeat(tx, self.server, alive_at, keys):
                register_server(tx, self.server, self.host, self.pid, alive_at, keys)
                crashes.hold_back(tx, now)

    def step(self) -> None:
        """Say that this server lives, take over what dead ones left, and keep the database's log short."""
        self.register()
        self.take_over()
        self.db.checkpoint()

    def release(self) -> None:
        """Release what this server holds when it stops."""
        with self.db.write() as tx:
            crashes.let_go(tx, self.server)

    def take_over(self) -> None:
        """Take over what nobody works on: deliveries and builds return to the queue, runs go on where they were.

        That is what dead servers left, and what a fault of ours or of the store made this one let go of.
        """
        with (
            self.intake.claim_registry.turn,
            self.builder.claim_registry.turn,
            self.runner.claim_registry.turn,
        ):
            with self.db.write() as tx:
                now = self.clock.now()
                dead = expire_servers(tx, time_of_servers(tx, now), alone=self.alone, me=self.server)
                open_shells.close_left(tx, dead, now)
                if crashes.count(tx, self.server):
                    crashes.hold_back(tx, now)
                deliveries.release(tx, self.server, self.intake.claim_registry.claims)
                for build in builds.taken_over(tx, self.server, self.builder.claim_registry.claims):
                    self._try_to_put_back(tx, build, now)
                taken = self._runs(tx, now)
            for run in taken:
                self.runner.claim_registry.take(run)
        for run in taken:
            log.info("going on with run %s", run.name)
            self.in_background(run.name, partial(self.runner.execute, run))

    def _runs(self, tx: Tx, now: datetime) -> Sequence[Run]:
        """Take over runs, suspected ones one at a time, so that the server outlives each before the next."""
        alive_at = time_of_servers(tx, now)
        up_for = alive_at - up_since(tx, self.server, alive_at)
        crashes.clear_suspicion(tx, self.server, up_for)
        suspect = crashes.next_suspect(tx, up_for)
        in_hand, engine = self.runner.claim_registry.claims, self.runner.engine_id()
        return runs.taken_over(tx, self.server, in_hand, suspect, engine)

    def _try_to_put_back(self, tx: Tx, build: Build, now: datetime) -> None:
        """Put a build back; a fault of ours holds up no others, and the build is taken over again later."""
        try:
            with tx.begin_nested():
                self._put_back(tx, build, now)
        except Exception:
            log.exception("build %s could not be taken over", build.id)

    def _put_back(self, tx: Tx, build: Build, now: datetime) -> None:
        if build.cancel_requested_at is not None:
            end_cancelled_build(tx, self.names, build, now)
            return
        verdict = interrupted(build, now)
        if isinstance(verdict, Again):
            builds.put_back(tx, build, verdict.sentence, verdict.available_at)
            return
        ended = builds.fail(tx, build, BuildReason.INTERRUPTED, verdict.sentence, now)
        if ended is not None:
            after_build(tx, self.names, ended, now)

    def sweep(self) -> None:
        """End containers whose runs are over, and remove them. Those of runs nobody has heard of are left alone, and
        so are those that say they are of another run than their key does: a database that was put back has ids again.

        While other servers may stand still with a start in their hands, what is left of a run keeps them from starting
        it again: they find it, and take it for what it is.
        """
        owned = self.engine.owned()
        with self.db.read() as tx:
            over = runs.over(tx, [run_id for each in owned if (run_id := _run_of(each)) is not None])
        forgotten = self.clock.now() - (timedelta(0) if self.alone else LONGEST_STALL)
        for each in owned:
            ended_at = over.get((_run_of(each) or 0, each.labels.get(RUN_LABEL, "")))
            if ended_at is not None:
                self._try_to_end(each, remove=ended_at <= forgotten)

    def _try_to_end(self, left_over: Owned, *, remove: bool) -> None:
        """End a container that nobody needs; one that the engine can't end holds up no others."""
        try:
            self._end(left_over, remove=remove)
        except EngineUnavailable as error:
            log.warning("container %s could not be swept: %s", left_over.handle.name, error)
        except Exception:
            log.exception("container %s could not be swept", left_over.handle.name)

    def _end(self, left_over: Owned, *, remove: bool) -> None:
        if left_over.state is State.RUNNING:
            log.info("stopping left-over container %s", left_over.handle.name)
            self.engine.stop(left_over.handle, 10)
        if remove:
            log.info("removing left-over container %s", left_over.handle.name)
            self.engine.remove(left_over.handle)


def _run_of(owned: Owned) -> int | None:
    match = RUN_OF_KEY.fullmatch(owned.handle.key)
    return int(match[1]) if match else None
