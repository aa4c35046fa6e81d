"""The loops of one server, stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from app.bootstrap.forges import make_forges
from app.domain.errors import EngineUnavailable
from app.domain.plans import DEFAULT_PLANS
from app.domain.references import Ours
from app.runtime.signals import Signals
from app.web.declared.repository_file import RepositoryFile
from app.web.form_rules import FormRules
from app.workers.build.builder import Builder
from app.workers.deployments import DeploymentWorker
from app.workers.flows import FlowWorker
from app.workers.intake import Intake
from app.workers.notifications import NotificationWorker
from app.workers.reconciler import Reconciler
from app.workers.remote_poller import RemotePoller
from app.workers.run.active import Active
from app.workers.run.runner import Runner
from app.workers.run.watcher import Watcher
from tests.support.mortal import Fuse, Mortal, MortalDatabase
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.installation import Installation

INTERVAL = timedelta(minutes=10)  # between comparisons with the remote


class Server:
    """One server's loops, stepped by hand; what it adopts it goes on with at once, in the caller's thread."""

    def __init__(
        self, place: Installation, name: str, db: MortalDatabase, fuse: Fuse, *, alone: bool, **runner: Any
    ) -> None:
        self.place = place
        self.name = name
        self.fuse = fuse
        self.db = db
        clock, engine = place.clock, Mortal(place.engine, fuse)
        log_storage = place._log_storage(Signals())
        checkouts: Any = Mortal(place.repository, fuse)
        self.adopted: list[Callable[[], None]] = []
        self.engine_is_up = True  # as far as is known
        self.intake = Intake(
            db,
            clock,
            place.names,
            name,
            make_forges(),
            checkouts,
            place.box,
            lambda _, work: work(),
            apply_file=RepositoryFile(
                FormRules({plan.name: plan for plan in DEFAULT_PLANS}, lambda _url: None),
                place.names,
                place.box,
                Ours("jobyard-0123456789ab"),
            ).apply,
        )
        self.builder = Builder(
            db=db,
            clock=clock,
            names=place.names,
            owner=name,
            checkouts=checkouts,
            backend=Mortal(place.backend, fuse),
            vault=place.box,
            log_storage=log_storage,
            ours=Ours("jobyard-0123456789ab"),
            addresses_of=lambda _host, _port: ["192.0.2.1"],
            engine_is_up=lambda: self.engine_is_up,
        )
        self.runner = Runner(
            db=db,
            clock=clock,
            owner=name,
            engine=engine,  # type: ignore[arg-type]
            vault=place.box,
            log_storage=log_storage,
            plans={plan.name: plan for plan in DEFAULT_PLANS},
            ours=Ours("jobyard-0123456789ab"),
            epoch=place.epoch,
            active=Active(),
            engine_is_up=lambda: self.engine_is_up,
            **{"asked_every": 0.0, **runner},
        )
        self.watcher = Watcher(db, clock, engine, self.runner.active, self.builder.stopping)  # type: ignore[arg-type]
        self.reconciler = Reconciler(
            db=db,
            clock=clock,
            names=place.names,
            engine=engine,  # type: ignore[arg-type]
            runner=self.runner,
            builder=self.builder,
            intake=self.intake,
            server=name,
            host="here",
            pid=1,
            alone=alone,
            keys_in_use=place.box.in_use,
            in_background=lambda _, work: self.adopted.append(work),
        )
        self.deployment_worker = DeploymentWorker(db, clock, place.names)
        self.remote_poller = RemotePoller(
            db, clock, place.names, checkouts, place.box, INTERVAL, lambda _, look: look() is None
        )
        self.flow_worker = FlowWorker(db, clock, place.names, place.box)
        outbox: Any = Mortal(place.outbox, fuse)
        self.notification_worker = NotificationWorker(db, clock, place.box, outbox.post)

    def reconcile(self) -> None:
        self.reconciler.step()
        with suppress(EngineUnavailable):
            self.reconciler.sweep()
        while self.adopted:
            self.adopted.pop(0)()

    def turn(self) -> bool:
        """Every loop once; whether any of them had something to do."""
        loops = (
            self.intake,
            self.builder,
            self.runner,
            self.deployment_worker,
            self.flow_worker,
            self.notification_worker,
        )
        return sum(loop.step() for loop in loops) > 0

    def until_running(self, containers: int = 1) -> None:
        """Wait until a runner in another thread has saved that so many containers run."""
        eventually(lambda: sum(len(each.handles) for each in self.runner.active.all()) >= containers)

    def work(self, rounds: int = 40, *, reconcile_first: bool = True) -> None:
        """Turn the crank until nothing is left to do, waiting out whatever has to be waited for."""
        if reconcile_first:
            self.reconcile()
        for _ in range(rounds):
            while self.turn():
                pass
            if not self.place.open_work():
                self.reconcile()
                return
            self.place.clock.advance(10)
            self.reconcile()
        raise AssertionError(f"never ends: {self.place.open_work()}")
