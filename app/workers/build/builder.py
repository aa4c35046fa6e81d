"""From a queued build to an image: claim ▶ checkout ▶ plan ▶ render ▶ build ▶ conclude."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import ParamSpec

from app.checkout import Checkouts, GitStopped
from app.checkout.addresses import resolve
from app.commands.continuous_delivery import after_build, end_cancelled_build
from app.commands.image_policy import Resolve
from app.commands.remote_access import registry_logins
from app.commands.variables import open_variable
from app.domain.builds import Build, BuildReason, GivenUp, no_answer
from app.domain.egress import Egress
from app.domain.errors import DiskUnavailable, GitUnavailable, JobyardError, TransientError, UserError
from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.domain.job.variables import references_in
from app.domain.pushes import Containment
from app.domain.redaction import Redactor
from app.domain.references import Ours
from app.domain.refs import is_proposal
from app.domain.retention import Kind
from app.engines.base import RegistryLogin
from app.runtime.disk import WAITED_FOR, Disk
from app.runtime.external_secrets import ExternalSecrets
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock, Names, SecretSource, Vault
from app.secrets import SecretKeyError
from app.store import builds, kept_logs
from app.store.claims import Claim
from app.store.database import Database, StoreUnavailable, Tx
from app.workers.build.commit_order import ask_git, standing
from app.workers.build.image_maker import ImageMaker, Stopped
from app.workers.build.phases import Phases
from app.workers.build.publisher import Made, Publisher
from app.workers.build.slots import Slots
from app.workers.claims import ClaimRegistry, claim_of
from app.workers.log_recording import BuildRecording, Recording
from builders.backends.base import (
    BackendUnavailable,
    BuildCancelled,
    BuildFailed,
    BuildTimedOut,
    BuiltImage,
    ImageBackend,
    PushFailed,
)
from builders.plan import PlanError

log = logging.getLogger(__name__)
FETCHERS = 64  # builds that wait for their Git servers, beside those that are made
FETCHERS_PER_PROJECT = 56
PATIENCE_SECONDS = 2.0  # of a builder for a place to build in
DISK_RETRY = timedelta(seconds=10)


P = ParamSpec("P")


@dataclass(frozen=True)
class Failure:
    reason: BuildReason
    sentence: str
    is_outage: bool = False  # of something that we depend on: tried again


@dataclass(frozen=True)
class Builder:
    """Builds one thing at a time; several builders work side by side.

    `stopping` holds an event per claim that is worked on, which the watcher sets when its build is to end. Of a build
    that was lost and came back there are two: whoever lost it does not know yet.
    """

    db: Database
    clock: Clock
    names: Names
    owner: str
    checkouts: Checkouts
    backend: ImageBackend
    vault: Vault
    log_storage: LogStorage
    ours: Ours
    publisher: Publisher | None = None  # where there is a registry
    addresses_of: Resolve = resolve
    egress: Egress = field(default_factory=Egress)
    slots: Slots = field(default_factory=lambda: Slots(16))
    disk: Disk = field(default_factory=Disk)
    secret_source: SecretSource = field(default_factory=ExternalSecrets)
    engine_is_up: Callable[[], bool] = lambda: True
    confine: Callable[[], object] = lambda: None  # see `Engine.confine`
    stopping: dict[Claim, threading.Event] = field(default_factory=dict)
    claim_registry: ClaimRegistry = field(default_factory=ClaimRegistry)

    def step(self) -> bool:
        """Build what is next in line; False if nothing waits, or there is no room on the disk."""
        if self.disk.trouble or self._waits_for_room() or not self.slots.take(PATIENCE_SECONDS):
            return False
        try:
            return self._step()
        finally:
            self.slots.give_back()

    def _step(self) -> bool:
        with self.claim_registry.turn:
            if not self._is_due():
                return False
            with self.db.write() as tx:
                build = builds.claim(tx, self.owner, self.clock.now(), FETCHERS_PER_PROJECT)
            if build is None:
                return False
            self.claim_registry.take(build)
        self.stopping[claim_of(build)] = threading.Event()
        try:
            with self.claim_registry.until_done(build):
                self._work(build)
        finally:
            del self.stopping[claim_of(build)]
        return True

    def _waits_for_room(self) -> bool:
        """Whether there is too little room for builds to begin; those that are due say so."""
        why = self.disk.builds_wait
        if not why:
            return False
        with self.db.read() as tx:
            untold = builds.due_without(tx, why, self.clock.now())
        if untold:
            with self.db.write() as tx:
                builds.hold_back(tx, why, untold)
        return True

    def _is_due(self) -> bool:
        """A builder that woke too late for a build only reads: the first one is about to write."""
        with self.db.read() as tx:
            due = builds.due_at(tx)
        return due is not None and due <= self.clock.now()

    def _work(self, build: Build) -> None:
        try:
            secrets = {**self._open(build), **self._read_external(build)}
            login = self.publisher.login(build) if self.publisher else None
            logins = self.disk.patiently(f"build {build.id}", partial(self._logins, build))
        except SecretKeyError as error:
            self._end(self._end_failed, build, Failure(BuildReason.ENGINE_FAILED, str(error)))
            return
        except SecretRefused as error:
            self._end(self._end_failed, build, Failure(BuildReason.SECRET_UNAVAILABLE, str(error)))
            return
        except SecretUnavailable as error:
            outage = Failure(BuildReason.SECRET_UNAVAILABLE, str(error), is_outage=True)
            self.disk.patiently("the end of a build", partial(self._wait_or_give_up, build, outage))
            return
        hidden = [*secrets.values(), *(each.password for each in (*logins.values(), login) if each)]
        redactor = Redactor(hidden)
        with self._log(build, redactor) as writer:
            try:
                began = self.clock.ticks()
                with self._phases(build) as phases:
                    sha, built = self._maker(build, secrets, logins, writer, phases).make()
                    spent = self.clock.ticks() - began
                    image = self._publish(build, sha, built, login, writer, phases, spent)
                git = self._ask_git(build, sha)
            except (Stopped, BuildCancelled, GitStopped):
                writer.note("The build was stopped.")
                self._end(self._end_cancelled, build)
            except Exception as error:
                self._failed(build, self.disk.seen_in(error), writer, redactor)
            else:
                self._end(self._end_succeeded, build, sha, image, git)

    def _failed(self, build: Build, error: Exception, writer: BuildRecording, redactor: Redactor) -> None:
        """Store what an error means for the build, and say it in the log. It may repeat what a step has printed."""
        found = classify(error, build)
        failure = replace(found, sentence=redactor.mask(found.sentence.encode()).decode(errors="replace"))
        is_known = isinstance(error, JobyardError | BackendUnavailable)
        if failure.reason is BuildReason.ENGINE_FAILED and not is_known:
            log.error("build %s met a fault of Jobyard", build.id, exc_info=error)
        if isinstance(error, WAITED_FOR):
            writer.note(failure.sentence)
            self._end(self._wait_for_room, build, failure.sentence)
        elif failure.is_outage:
            wait = partial(self._wait_or_give_up, build, failure)
            writer.note(self.disk.patiently("the end of a build", wait))
        else:
            writer.note(failure.sentence)
            self._end(self._end_failed, build, failure)

    def _maker(
        self,
        build: Build,
        secrets: Mapping[str, str],
        logins: Mapping[str, RegistryLogin],
        writer: BuildRecording,
        phases: Phases,
    ) -> ImageMaker:
        return ImageMaker(
            self.db,
            self.clock,
            self.checkouts,
            self.backend,
            self.vault,
            self.ours,
            self.addresses_of,
            self.egress,
            self.slots,
            self.disk,
            self.confine,
            build,
            secrets,
            logins,
            writer,
            phases,
            self.stopping[claim_of(build)],
        )

    @contextmanager
    def _phases(self, build: Build) -> Iterator[Phases]:
        phases = Phases(self.db, self.clock, build)
        try:
            yield phases
        finally:
            self._end(phases.save)

    def _logins(self, build: Build) -> Mapping[str, RegistryLogin]:
        if build.trigger.is_fork:
            return {}
        with self.db.read() as tx:
            return registry_logins(tx, self.vault, build.project_id)

    def _log(self, build: Build, redactor: Redactor) -> BuildRecording:
        write = partial(self.log_storage.write_build, build.id, redactor, token=build.token)
        path = self.log_storage.build_path(build.id)
        return BuildRecording(Recording(path, write, self.disk, anew=build.token == 1), self.disk, self.clock)

    def _end(self, end: Callable[P, None], *what: P.args, **more: P.kwargs) -> None:
        """Store what a build came to; while the disk has no room for it, it is tried again."""
        self.disk.patiently("the end of a build", partial(end, *what, **more))

    def _open(self, build: Build) -> Mapping[str, str]:
        return {
            name: open_variable(name, value, self.vault, build.project_id, None)
            for name, value in build.env.items()
            if value.secret and value.reference is None
        }

    def _read_external(self, build: Build) -> Mapping[str, str]:
        """The secrets that are kept elsewhere; while they are waited for, another build may have the place."""
        wanted = references_in(build.env)
        if not wanted:
            return {}
        with self.slots.lent(self.stopping[claim_of(build)].is_set):
            return self.secret_source.read(wanted, build.project)

    def _publish(
        self,
        build: Build,
        sha: str,
        built: BuiltImage,
        login: RegistryLogin | None,
        writer: BuildRecording,
        phases: Phases,
        spent: float,
    ) -> Made:
        """Push to the registry, where there is one, in what is left of the time limit after `spent` seconds."""
        writer.note(f"Built {built.digest}.")
        if self.publisher is None or is_proposal(build.ref):
            return Made(built.image, built.digest)
        name = self.publisher.name(build)
        writer.note(f"Pushing to {name}:{sha}")
        with phases.phase("push"):
            made = self.publisher.push(
                name,
                sha,
                built,
                login,
                on_output=writer.write,
                should_stop=self.stopping[claim_of(build)],
                time_limit_seconds=max(build.config.time_limit_seconds - spent, 1.0),
            )
        writer.note(f"Pushed {made.image}.")
        return made

    def _ask_git(self, build: Build, sha: str) -> Containment | None:
        """About a commit that somebody chose; those of pushes and heads of branches are where they have to be."""
        if build.on_branch is not None:
            return None
        return ask_git(
            self.db, self.checkouts, self.vault, build, sha, should_stop=self.stopping[claim_of(build)]
        )

    def _end_succeeded(self, build: Build, sha: str, image: Made, git: Containment | None) -> None:
        now = self.clock.now()
        with self.db.write() as tx:
            found = None if git is None else standing(tx, build, sha, git)
            ended = builds.succeed(tx, build, image=image.image, digest=image.digest, now=now, standing=found)
            if ended is not None:
                self._measure_log(tx, build)
                after_build(tx, self.names, ended, now)

    def _wait_or_give_up(self, build: Build, failure: Failure) -> str:
        """Queue a build again after an outage, or give it up; return the sentence that says so."""
        now = self.clock.now()
        verdict = no_answer(build, failure.sentence, now, engine_is_down=not self.engine_is_up())
        if isinstance(verdict, GivenUp):
            self._end_failed(build, Failure(failure.reason, verdict.sentence))
            return verdict.sentence
        with self.db.write() as tx:
            if builds.cancel_is_requested(tx, build.id):
                end_cancelled_build(tx, self.names, build, now)
            elif verdict.counts:
                builds.ask_again(tx, build, verdict.sentence, verdict.available_at, now)
            else:
                builds.put_back(tx, build, verdict.sentence, verdict.available_at)
        return verdict.sentence

    def _wait_for_room(self, build: Build, sentence: str) -> None:
        """On our own disk, without end: that was no try."""
        now = self.clock.now()
        with self.db.write() as tx:
            if builds.cancel_is_requested(tx, build.id):
                end_cancelled_build(tx, self.names, build, now)
            else:
                builds.put_back(tx, build, sentence, now + DISK_RETRY)

    def _end_failed(self, build: Build, failure: Failure) -> None:
        now = self.clock.now()
        with self.db.write() as tx:
            ended = builds.fail(tx, build, failure.reason, failure.sentence, now)
            if ended is not None:
                self._measure_log(tx, build)
                after_build(tx, self.names, ended, now)

    def _end_cancelled(self, build: Build) -> None:
        now = self.clock.now()
        with self.db.write() as tx:
            self._measure_log(tx, build)
            end_cancelled_build(tx, self.names, build, now)

    def _measure_log(self, tx: Tx, build: Build) -> None:
        kept_logs.measured(tx, Kind.BUILDS, build.id, self.log_storage.size(Kind.BUILDS, build.id))


def classify(error: Exception, build: Build) -> Failure:
    """Return whose fault it is: the repository's, a dependency's (tried again, within bounds), or ours."""
    match error:
        case DiskUnavailable() | StoreUnavailable():
            return Failure(BuildReason.ENGINE_FAILED, f"{error} It is built again then.")
        case BuildFailed():
            return Failure(BuildReason.BUILD_FAILED, str(error))
        case PushFailed():
            return Failure(BuildReason.PUSH_FAILED, str(error))
        case BuildTimedOut():
            limit = build.config.time_limit_seconds
            return Failure(BuildReason.TIME_LIMIT, f"The build's time limit of {limit} s passed.")
        case PlanError():
            return Failure(BuildReason.NOT_RECOGNISED, str(error))
        case GitUnavailable():
            return Failure(BuildReason.SOURCE_UNAVAILABLE, str(error), is_outage=True)
        case BackendUnavailable() | TransientError():
            return Failure(BuildReason.ENGINE_FAILED, str(error), is_outage=True)
        case UserError():
            return Failure(BuildReason.SOURCE_UNAVAILABLE, str(error))
        case _:
            sentence = "Jobyard failed while building; the server's log has more. Start the build again."
            return Failure(BuildReason.ENGINE_FAILED, sentence)
