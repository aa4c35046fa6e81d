"""Which loops a server has, and what each of them does at a turn; containers are left alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.commands.retention import ASKED_FOR
from app.runtime.disk import WAITED_FOR, Disk
from app.runtime.doorbell import Doorbell
from app.runtime.engine_health import EngineWatch
from app.runtime.log_storage import WRITING
from app.runtime.ports import Clock
from app.runtime.signals import Signals, Waker
from app.runtime.turns import Turns
from app.store import (
    builds,
    commit_statuses,
    deliveries,
    deployments,
    flows,
    mails,
    notices,
    notification_targets,
    notifications,
    repository_hooks,
    runs,
    schedules,
    traces,
)
from app.store.database import Database, StoreUnavailable, Tx
from app.store.inbox import Inbox
from app.workers.alarms import AlarmWorker
from app.workers.backups import BackupWorker
from app.workers.build.builder import FETCHERS, Builder
from app.workers.clock_changes import ClockChanges
from app.workers.deployments import DeploymentWorker
from app.workers.flows import FlowWorker
from app.workers.hooks import HookWorker
from app.workers.image_names import ImageNames
from app.workers.intake import Intake
from app.workers.log_copies import LogCopier
from app.workers.lookout import Lookout
from app.workers.loops import Loop, LoopThreads
from app.workers.mail import MailWorker
from app.workers.notifications import NotificationWorker
from app.workers.notifying import NoticeWorker, NotifyingWorker
from app.workers.reconciler import Reconciler
from app.workers.remote_poller import RemotePoller
from app.workers.retention import RetentionWorker
from app.workers.run.bells import Bells
from app.workers.run.health_checks import HealthChecks
from app.workers.run.metrics import Sampler
from app.workers.run.runner import Runner
from app.workers.run.watcher import Watcher
from app.workers.scheduler import Scheduler
from app.workers.statuses import StatusWorker
from app.workers.traces import TraceWorker

log = logging.getLogger(__name__)
POLL_SECONDS = 2.0  # while something is open that may go on by itself, or waits for what is not in the store
IDLE_SECONDS = 300.0  # else: the lookout wakes whoever has to look
RECONCILE_SECONDS = 10.0
SHARING_SECONDS = 5.0  # the same where other servers may wait for a sign of life
RETENTION_SECONDS = 60.0  # it is due every hour
POURING = 10  # deliveries that came while one was processed
COURTESY_SECONDS = 0.02  # for each of them
LONGEST_COURTESY_SECONDS = 0.5
TOLD_EVERY_SECONDS = 1.0  # statuses of commits


@dataclass
class Supervisor:
    """All the loops of one server."""

    db: Database
    clock: Clock
    signals: Signals
    inbox: Inbox
    engine_watch: EngineWatch
    intake: Intake
    builder: Builder
    runner: Runner
    watcher: Watcher
    health: HealthChecks
    sampler: Sampler
    bells: Bells
    reconciler: Reconciler
    image_names: ImageNames
    clock_changes: ClockChanges
    lookout: Lookout
    doorbell: Doorbell | None
    log_copier: LogCopier | None
    scheduler: Scheduler
    deployment_worker: DeploymentWorker
    flow_worker: FlowWorker
    notification_worker: NotificationWorker
    mail_worker: MailWorker | None
    status_worker: StatusWorker
    hook_worker: HookWorker
    trace_worker: TraceWorker | None
    notice_worker: NoticeWorker
    notifying_worker: NotifyingWorker
    alarm_worker: AlarmWorker
    remote_poller: RemotePoller | None
    retention_worker: RetentionWorker
    backup_worker: BackupWorker | None
    disk: Disk
    turns: Turns
    build_workers: int
    run_workers: int
    _build_bell: Waker = field(default_factory=lambda: Waker(builds.QUEUED))
    _hiring: threading.Lock = field(default_factory=threading.Lock)
    _hired: int = 0
    _has_settled: bool = False
    _threads: LoopThreads = field(init=False)

    def __post_init__(self) -> None:
        self._threads = LoopThreads(self.clock, self.signals, self.turns)

    def start(self) -> None:
        """Be known as alive, then begin to work. What waits for the engine has loops of its own."""
        try:
            self.reconciler.register()
        except WAITED_FOR as error:
            log.warning("the server is not known as alive yet: %s", error)
        self.retention_worker.stopping = self._threads.stopping
        self.builder.slots.on_lent = self._add_thread
        for loop in self.loops():
            self._threads.begin(loop)

    def loops(self) -> list[Loop]:
        """Return what goes on in threads, one each."""
        build, run = self._build, self._until_idle(self.runner.step, runs.due_at)
        run_bell = Waker(runs.QUEUED)
        self.lookout.watch(self._build_bell, builds.due_at)
        self.lookout.watch(run_bell, runs.due_at)
        return [
            Loop("lookout", Waker(), self.lookout.step),
            *self._passing_word(),
            *([Loop("log-copies", Waker(WRITING), self.log_copier.step)] if self.log_copier else []),
            Loop("engine", Waker(), self.engine_watch.step),
            Loop("disk", Waker(), self._look_at_disk),
            Loop("reconciler", Waker(), self._reconcile),
            Loop("sweeper", Waker(), self._sweep),
            Loop("watcher", self.bells.watcher, self.watcher.step),
            Loop("health", self.bells.health, self.health.step),
            Loop("metrics", self.bells.metrics, self.sampler.step),
            *self._deciding(),
            *self._mailing(),
            *self._telling_forges(),
            *self._telling(),
            *self._tracing(),
            *([Loop("remote-poller", Waker("sources"), self._compare)] if self.remote_poller else []),
            Loop("retention", Waker(ASKED_FOR), self._retain),
            *self._backing_up(),
            *(Loop(f"builder-{number}", self._build_bell, build) for number in range(self.build_workers)),
            *(Loop(f"runner-{number}", run_bell, run) for number in range(self.run_workers)),
        ]

    def _passing_word(self) -> list[Loop]:
        bell = self.doorbell
        if bell is None:
            return []
        return [
            Loop("telling-servers", bell.telling, bell.tell),
            Loop("hearing-servers", Waker(), bell.listen),
        ]

    def _mailing(self) -> list[Loop]:
        if self.mail_worker is None:
            return []
        posting = Waker(mails.TOPIC)
        self.lookout.watch(posting, mails.due_at)
        return [Loop("mail", posting, self._until_idle(self.mail_worker.step, mails.due_at))]

    def _telling_forges(self) -> list[Loop]:
        telling = Waker(commit_statuses.TOPIC, "builds", "runs", deployments.TOPIC)
        self.lookout.watch(telling, commit_statuses.next_due_at)
        self.lookout.watch(telling, commit_statuses.is_any_open)
        hooking = Waker(repository_hooks.TOPIC)
        self.lookout.watch(hooking, repository_hooks.next_due_at)
        look_after = self._until_idle(self.hook_worker.step, repository_hooks.next_due_at)
        return [Loop("statuses", telling, self._tell_forges), Loop("webhooks", hooking, look_after)]

    def _telling(self) -> list[Loop]:
        waker = Waker(notices.TOPIC, notification_targets.TOPIC, notifications.TOPIC)
        self.lookout.watch(waker, notices.is_any)
        self.lookout.watch(waker, notifications.due_at)
        self.notifying_worker.pool.on_done = waker.ring
        return [Loop("telling", waker, self._tell)]

    def _tracing(self) -> list[Loop]:
        if self.trace_worker is None:
            return []
        waker = Waker(traces.TOPIC)
        self.lookout.watch(waker, traces.due_at)
        return [Loop("traces", waker, self._until_idle(self.trace_worker.step, traces.due_at))]

    def _backing_up(self) -> list[Loop]:
        if self.backup_worker is None:
            return []
        waker = Waker()
        self.lookout.watch(waker, self.backup_worker.is_due)
        return [Loop("backups", waker, self.backup_worker.step)]

    def _deciding(self) -> list[Loop]:
        """Return the loops that decide what happens next; what they begin is worked on by others."""
        notifying = Waker("flows")
        deploying = Waker("deployments", builds.ENDING, runs.ENDED)
        flowing = Waker("flows", "deployments", builds.ENDING, runs.ENDED)
        due, arriving = Waker("schedules"), Waker("deliveries")
        self.lookout.watch(due, schedules.next_due_at)
        self.lookout.watch(arriving, deliveries.is_any_waiting)
        self.lookout.watch(deploying, deployments.unfinished)
        self.lookout.watch(flowing, flows.unfinished)
        self.lookout.watch(notifying, flows.unfinished)
        deploy = self._while_moving(self.deployment_worker.step, deployments.unfinished)
        notify = self._while_moving(self.notification_worker.step, flows.unfinished)
        return [
            Loop("scheduler", due, self._schedule),
            Loop("intake", arriving, self._take_in),
            Loop("deployments", deploying, deploy),
            Loop("flows", flowing, self._while_moving(self.flow_worker.step, flows.unfinished)),
            Loop("notifications", notifying, notify),
        ]

    def stop(self) -> None:
        """Ask the loops to end and wait a little; what is still going is gone on with after the next start."""
        self._threads.stop()
        try:
            self.intake.release()
            self.reconciler.release()
        except StoreUnavailable as error:
            log.warning("what was being processed is let go of at the next start: %s", error)

    def _build(self) -> float:
        return self._until_idle(self.builder.step, builds.due_at)()

    def _add_thread(self) -> None:
        """Start one more builder for each that waits for its Git server, for as long as it does."""
        with self._hiring:
            if self._threads.stopping.is_set() or self._hired >= min(self.builder.slots.lent_out, FETCHERS):
                return
            self._hired += 1
        self._threads.begin(Loop("builder-hired", self._build_bell, self._build), self._is_still_wanted)

    def _is_still_wanted(self) -> bool:
        with self._hiring:
            if self._hired <= self.builder.slots.lent_out:
                return True
            self._hired -= 1
        self._build_bell.ring()  # what woke this one may be for another
        return False

    def _tell_forges(self) -> float:
        """What changes in the next second is told with that: of a burst only what it ends with."""
        self.status_worker.step()
        self._threads.stopping.wait(TOLD_EVERY_SECONDS)
        with self.db.read() as tx:
            due = commit_statuses.next_due_at(tx)
        left = IDLE_SECONDS if due is None else (due - self.clock.now()).total_seconds()
        return min(max(left, 0.0), IDLE_SECONDS)

    def _reconcile(self) -> float:
        self.reconciler.step()
        self.inbox.flush_rejected()
        return RECONCILE_SECONDS if self.reconciler.alone else SHARING_SECONDS

    def _schedule(self) -> float:
        self.clock_changes.step()
        seconds = self._until_idle(self.scheduler.step, schedules.next_due_at)()
        return min(seconds, self.clock_changes.seconds_to_next_look or seconds)

    def _sweep(self) -> float:
        if self.engine_watch.health().is_up:
            self.reconciler.sweep()
            self.image_names.step()
        return RECONCILE_SECONDS

    def _compare(self) -> float:
        assert self.remote_poller is not None
        self.remote_poller.step()
        return RECONCILE_SECONDS

    def _tell(self) -> float:
        """Make notifications of what happened, and have sent what is due."""
        seconds = self.notice_worker.step()
        return min(seconds, self._until_idle(self.notifying_worker.step, notifications.due_at)())

    def _look_at_disk(self) -> float:
        seconds = self.disk.step(self.clock)
        self.alarm_worker.step()
        if self.disk.alarm is not None:
            self.retention_worker.hurry()
        return seconds

    def _retain(self) -> float:
        """Not while the server starts, unless somebody asks or the disk is filling up."""
        if self._has_settled or self.retention_worker.retention.asked.is_set():
            self.retention_worker.step()
        self._has_settled = True
        return RETENTION_SECONDS

    def _take_in(self) -> float:
        """Take deliveries one after the other, but for those that need Git; while many come, receiving is first."""
        arrived = self.inbox.arrived
        while not self._threads.stopping.is_set() and self.intake.step():
            poured, arrived = self.inbox.arrived - arrived, self.inbox.arrived
            if poured > POURING:
                self._threads.stopping.wait(min(poured * COURTESY_SECONDS, LONGEST_COURTESY_SECONDS))
        with self.db.read() as tx:
            return POLL_SECONDS if deliveries.is_any_waiting(tx) else IDLE_SECONDS

    def _while_moving(
        self, step: Callable[[], bool], unfinished: Callable[[Tx], Sequence[int]]
    ) -> Callable[[], float]:
        def look() -> float:
            while not self._threads.stopping.is_set() and step():
                pass
            with self.db.read() as tx:
                return POLL_SECONDS if unfinished(tx) else IDLE_SECONDS

        return look

    def _until_idle(
        self, step: Callable[[], bool], next_due: Callable[[Tx], datetime | None]
    ) -> Callable[[], float]:
        """Works while something is due; looking is a read, so that idle workers don't queue up to write."""

        def look() -> float:
            while not self._threads.stopping.is_set():
                with self.db.read() as tx:
                    due = next_due(tx)
                left = IDLE_SECONDS if due is None else (due - self.clock.now()).total_seconds()
                if left > 0:
                    return min(left, IDLE_SECONDS)
                if not step():
                    return POLL_SECONDS  # what is due was taken by another worker, or waits for something
            return 0.0

        return look
