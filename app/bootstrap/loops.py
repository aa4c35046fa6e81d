"""The loops of a server, each made of what the server's parts are."""

from __future__ import annotations

import logging
import os
import socket
from datetime import timedelta

from app.bootstrap.backups import backup_shelf
from app.bootstrap.builds import make_backend, make_publisher
from app.bootstrap.forges import make_forge_apis, send_to_forge
from app.bootstrap.notifying import notifying_worker
from app.bootstrap.parts import Parts
from app.bootstrap.repository_files import repository_file
from app.commands.log_limits import LogLimits
from app.commands.log_tails import LogTails
from app.config import traces
from app.domain.plans import MIB
from app.installation import Installation, backup_source
from app.runtime.doorbell import Doorbell
from app.runtime.threads import KeyedThreadPool
from app.workers.alarms import AlarmWorker
from app.workers.backups import BackupWorker
from app.workers.build.builder import Builder
from app.workers.build.slots import Slots
from app.workers.clock_changes import ClockChanges
from app.workers.deployments import DeploymentWorker
from app.workers.flows import FlowWorker
from app.workers.hooks import HookWorker
from app.workers.image_names import ImageNames
from app.workers.intake import Intake
from app.workers.log_copies import LogCopier
from app.workers.lookout import Lookout
from app.workers.mail import MailWorker
from app.workers.notifications import NotificationWorker
from app.workers.notifying import NoticeWorker
from app.workers.reconciler import Reconciler
from app.workers.remote_poller import RemotePoller
from app.workers.retention import RetentionWorker
from app.workers.run.health_checks import HealthChecks
from app.workers.run.metrics import Sampler
from app.workers.run.runner import Runner
from app.workers.run.watcher import Watcher
from app.workers.scheduler import Scheduler
from app.workers.statuses import StatusWorker
from app.workers.supervisor import Supervisor
from app.workers.traces import TraceWorker

log = logging.getLogger(__name__)
PROBES_AT_ONCE, READINGS_AT_ONCE, LOOKS_AT_ONCE, FORGES_AT_ONCE = 8, 4, 8, 4


def make_supervisor(parts: Parts, *, alone: bool, listening_url: str = "") -> Supervisor:
    """Return the supervisor. `alone` means that certainly no other server works on the database.

    Links in messages lead to `listening_url` where no other address is set.
    """
    own, settings = parts.installation, parts.settings
    db, clock = own.db, own.clock
    changes = ClockChanges(db, clock)
    runner, builder, intake = _runner(parts, alone=alone), _builder(parts), _intake(parts)
    return Supervisor(
        db=db,
        clock=clock,
        signals=own.signals,
        inbox=parts.inbox,
        engine_watch=parts.watch,
        intake=intake,
        builder=builder,
        runner=runner,
        watcher=Watcher(db, clock, parts.engine, parts.active, builder.stopping),
        health=_health_checks(parts),
        sampler=_sampler(parts),
        bells=parts.bells,
        reconciler=_reconciler(parts, runner, builder, intake, alone=alone),
        image_names=ImageNames(parts.engine, own.box, own.ours),
        clock_changes=changes,
        lookout=Lookout(db, clock, own.signals),
        doorbell=None if db.is_sqlite else Doorbell(db, own.signals, parts.server),
        log_copier=LogCopier(clock, parts.log_storage) if parts.log_storage.copies else None,
        scheduler=Scheduler(db, clock, parts.names, changes),
        deployment_worker=DeploymentWorker(db, clock, parts.names),
        flow_worker=FlowWorker(db, clock, parts.names, own.box),
        notification_worker=_notification_worker(parts),
        mail_worker=_mail_worker(parts),
        status_worker=_status_worker(parts),
        hook_worker=_hook_worker(parts, listening_url),
        trace_worker=_trace_worker(own),
        notice_worker=NoticeWorker(db, clock),
        notifying_worker=notifying_worker(parts, listening_url),
        alarm_worker=AlarmWorker(db, clock, socket.gethostname(), parts.disk, parts.watch.health),
        remote_poller=_remote_poller(parts),
        retention_worker=_retention_worker(parts),
        backup_worker=backup_worker(parts),
        disk=parts.disk,
        turns=parts.turns,
        build_workers=settings.workers_builds,
        run_workers=settings.workers_runs,
    )


def _intake(parts: Parts) -> Intake:
    own = parts.installation
    return Intake(
        own.db,
        own.clock,
        parts.names,
        parts.server,
        parts.forges,
        parts.impatient,
        own.box,
        disk=parts.disk,
        apply_file=repository_file(parts).apply,
    )


def _runner(parts: Parts, *, alone: bool) -> Runner:
    own = parts.installation
    return Runner(
        db=own.db,
        clock=own.clock,
        owner=parts.server,
        engine=parts.engine,
        vault=own.box,
        log_storage=parts.log_storage,
        plans=parts.settings.sizes,
        ours=own.ours,
        epoch=own.epoch,
        disk_bytes=parts.settings.run_disk_mb * MIB,
        active=parts.active,
        disk=parts.disk,
        secret_source=parts.external,
        engine_is_up=parts.engine_is_up,
        engine_id=lambda: None if alone else parts.watch.engine_id,
    )


def _builder(parts: Parts) -> Builder:
    own = parts.installation
    return Builder(
        db=own.db,
        clock=own.clock,
        names=parts.names,
        owner=parts.server,
        checkouts=parts.checkouts,
        backend=make_backend(parts.settings, parts.docker_url),
        vault=own.box,
        log_storage=parts.log_storage,
        ours=own.ours,
        publisher=make_publisher(own, parts.docker_url),
        disk=parts.disk,
        secret_source=parts.external,
        engine_is_up=parts.engine_is_up,
        confine=parts.engine.confine,
        egress=parts.settings.may_reach,
        slots=Slots(parts.settings.workers_builds),
    )


def _health_checks(parts: Parts) -> HealthChecks:
    own, pool = parts.installation, KeyedThreadPool("health", PROBES_AT_ONCE, parts.bells.health.ring)
    return HealthChecks(own.db, own.clock, parts.engine, parts.active, parts.log_storage, pool)


def _sampler(parts: Parts) -> Sampler:
    every = timedelta(seconds=parts.settings.metrics_seconds)
    pool = KeyedThreadPool("metrics", READINGS_AT_ONCE)
    clock = parts.installation.clock
    return Sampler(clock, parts.engine, parts.active, parts.log_storage, every, pool)


def _reconciler(parts: Parts, runner: Runner, builder: Builder, intake: Intake, *, alone: bool) -> Reconciler:
    own = parts.installation
    return Reconciler(
        own.db,
        own.clock,
        parts.names,
        parts.engine,
        runner,
        builder,
        intake,
        parts.server,
        socket.gethostname(),
        os.getpid(),
        alone=alone,
        keys_in_use=own.box.in_use,
    )


def _notification_worker(parts: Parts) -> NotificationWorker:
    own, egress = parts.installation, parts.settings.may_reach

    def post(url: str, text: str, key: str) -> str:
        from app.http_notifier import (
            post_message,  # with what it imports, when there is first something to post
        )

        return post_message(egress, url, text, key)

    return NotificationWorker(own.db, own.clock, own.box, post)


def _mail_worker(parts: Parts) -> MailWorker | None:
    own, server, public_url = parts.installation, parts.settings.mail_server, parts.settings.public_url
    if server is None or public_url is None:
        return None
    from app.mail import Mailer

    return MailWorker(own.db, own.clock, own.box, Mailer(server).send, public_url)


def _status_worker(parts: Parts) -> StatusWorker:
    own, settings = parts.installation, parts.settings
    return StatusWorker(
        own.db,
        own.clock,
        own.box,
        make_forge_apis(),
        send_to_forge(settings),
        settings.public_url,
        KeyedThreadPool("statuses", FORGES_AT_ONCE).give,
        parts.app_tokens,
        LogTails(own.db, parts.log_storage),
    )


def _hook_worker(parts: Parts, listening_url: str) -> HookWorker:
    return HookWorker(parts.repository_hooks, parts.settings.public_url or listening_url)


def _trace_worker(own: Installation) -> TraceWorker | None:
    if hindrance := traces.hindrance():
        log.warning(hindrance)
    if not traces.are_sent():
        return None
    from app.otlp import Collector  # which only some installations have

    return TraceWorker(own.db, own.clock, Collector(own.image_name).send)


def _remote_poller(parts: Parts) -> RemotePoller | None:
    own, minutes = parts.installation, parts.settings.reconcile_minutes
    if minutes == 0:
        return None
    return RemotePoller(
        db=own.db,
        clock=own.clock,
        names=parts.names,
        checkouts=parts.impatient,
        vault=own.box,
        interval=timedelta(minutes=minutes),
        give=KeyedThreadPool("remote-poller", LOOKS_AT_ONCE).give,
    )


def _retention_worker(parts: Parts) -> RetentionWorker:
    own = parts.installation
    log_limits, registry = LogLimits(own.db, parts.log_storage), None
    if own.ours.registry:
        from app.commands.registry_retention import RegistryRetention

        registry = RegistryRetention(own.db, own.clock, own.box, own.ours)
    return RetentionWorker(
        own.db, own.clock, parts.retention, parts.checkouts, registry, log_limits, server=parts.server
    )


def backup_worker(parts: Parts) -> BackupWorker | None:
    """Return what makes backups by a schedule, if one is set."""
    own, plan = parts.installation, parts.settings.backups
    if plan is None:
        return None
    from app.commands.backups import ScheduledBackups  # with what it imports, which few servers need

    shelf = backup_shelf(own, plan)
    with_key = not shelf.is_bucket if plan.with_key is None else plan.with_key
    source = backup_source(parts.settings, own.db, with_key=with_key)
    return BackupWorker(own.db, own.clock, parts.server, plan, ScheduledBackups(source, shelf))
