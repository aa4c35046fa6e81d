"""Shells that people open in running containers: in which, how many at once, and what the audit log tells of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.audit import Action, Actor, Entry, Subject
from app.domain.errors import Busy, Conflict, EngineUnavailable, NotFound
from app.domain.runs import Container, Run
from app.engines.base import Engine, Handle
from app.engines.shells import Shell
from app.store import open_shells, run_attempts
from app.store.database import Database, Tx

OFF = "Shells are switched off on this server: JOBYARD_SHELLS is 0."


@dataclass(frozen=True)
class Target:
    """The container of a run that a shell is for."""

    run: Run
    attempt: int
    instance: int

    @property
    def called(self) -> str:
        return f"attempt {self.attempt}, instance {self.instance}"


@dataclass(frozen=True)
class OpenShell:
    """`opened` is the entry of the audit log that tells of its opening."""

    target: Target
    handle: Handle
    shell: Shell
    opened: Entry


class Shells:
    """Opens shells on the engine of this `server`, at most `most` at once. One that nobody types into for
    `idle_minutes` is to be closed.
    """

    def __init__(self, db: Database, engine: Engine, server: str, *, most: int, idle_minutes: int) -> None:
        self._db, self._engine, self._server = db, engine, server
        self._stored = threading.Lock()  # what of them is stored changes one by one
        self.most, self.idle_minutes = most, idle_minutes
        self._lock = threading.Lock()
        self._count = 0

    def open(
        self, target: Target, size: tuple[int, int], actor: Actor, now: datetime, request_id: str
    ) -> OpenShell:
        """Open one with so many columns and rows. That it was opened is in the audit log before anybody can type.

        Raises NotFound and Conflict where there is no such container or it doesn't run, Busy for one too many, NoShell,
        EngineUnavailable.
        """
        with self._db.read() as tx:
            handle = _running(tx, target)
        self._take_place()
        try:
            shell = self._engine.shell(handle, *size)
            try:
                entry = _entry(target, handle, actor, now, request_id)
                with self._stored, self._db.write() as tx:
                    entry = open_shells.opened(tx, self._server, entry)
            except BaseException:
                shell.close()
                raise
        except BaseException:
            self._leave_place()
            raise
        return OpenShell(target, handle, shell, entry)

    def close(self, shell: OpenShell, why: str, now: datetime) -> None:
        """End it with all that was started in it, and tell the audit log why. Raises EngineUnavailable."""
        try:
            shell.shell.close()
        finally:
            self._leave_place()
            lasted = max(now - shell.opened.at, timedelta())
            entry = replace(
                shell.opened,
                at=now,
                action=Action.RUN_CLOSE_SHELL,
                detail=f"{shell.opened.detail} It was open for {round(lasted.total_seconds())} s. {why}",
            )
            with self._stored, self._db.write() as tx:
                open_shells.closed(tx, self._server, shell.opened, entry)

    def is_in_a_running_container(self, shell: OpenShell) -> bool:
        """Whether the engine says so; a shell may end before the store knows that its container has."""
        try:
            return self._engine.stats(shell.handle) is not None
        except EngineUnavailable:
            return False

    def has_to_end(self, shell: OpenShell) -> bool:
        """Whether the container is not running, or not this run's any more, as far as the store knows."""
        with self._db.read() as tx:
            try:
                return _running(tx, shell.target) != shell.handle
            except (NotFound, Conflict):
                return True

    def _take_place(self) -> None:
        with self._lock:
            if self.most == 0:
                raise Conflict(OFF)
            if self._count >= self.most:
                raise Busy(
                    f"{self._count} shells are open on this server, as many as JOBYARD_SHELLS allows: close one first."
                )
            self._count += 1

    def _leave_place(self) -> None:
        with self._lock:
            self._count -= 1


def _running(tx: Tx, target: Target) -> Handle:
    """Raises NotFound, Conflict."""
    run = target.run
    attempts = {each.number: each for each in run_attempts.attempts_of(tx, run.id)}
    attempt = attempts.get(target.attempt)
    if attempt is None:
        raise NotFound(f"Run {run.name} has no attempt {target.attempt}.")
    container = _instance(run_attempts.containers_of(tx, attempt.id), target)
    if attempt.finished_at is not None or container.finished_at is not None:
        raise Conflict(f"Of run {run.name}, {target.called} has ended: a shell needs a running container.")
    if container.handle is None:
        raise Conflict(f"Of run {run.name}, {target.called} has not started yet: try again in a moment.")
    return Handle.from_json(container.handle)


def _instance(containers: Sequence[Container], target: Target) -> Container:
    for each in containers:
        if each.instance == target.instance:
            return each
    raise NotFound(
        f"Attempt {target.attempt} of run {target.run.name} has no instance {target.instance}: it has"
        f" {len(containers)}, counted from 0."
    )


def _entry(target: Target, handle: Handle, actor: Actor, now: datetime, request_id: str) -> Entry:
    run = target.run
    return Entry(
        at=now,
        actor=actor,
        action=Action.RUN_OPEN_SHELL,
        subject=Subject("run", run.id, run.name, run.project_id, run.project),
        detail=f"In {target.called}: container {handle.name}.",
        request_id=request_id,
    )
