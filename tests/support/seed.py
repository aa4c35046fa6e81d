"""A small world to look at: an installation on disk with jobs, builds, runs, decisions, deliveries and logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette

from app.domain.build_parts import BuildStep, BuildTrigger, BuildTriggerType
from app.domain.builds import BuildReason
from app.domain.decisions import EventType, Verdict
from app.domain.events import repo_key
from app.domain.job.codec import job_from_json, overrides_from_json
from app.domain.job.effective import effective_of
from app.domain.job.records import Deployed, Job, SourceSettings
from app.domain.job.spec import JobSpec
from app.domain.principals import Role
from app.domain.redaction import Redactor
from app.domain.runs import Outcome, Reason, Trigger, TriggerType, conclude
from app.domain.sealing import of_project_hook
from app.logs import Stream
from app.runtime.engine_health import EngineHealth
from app.store import builds, decisions, deliveries, jobs, projects, run_attempts, runs, users
from app.store.database import Database, Tx
from app.store.deliveries import NewDelivery
from app.store.identity import reserved_id
from app.store.projects import Project
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.clock import START, Clock
from tests.support.databases import empty_sqlite
from tests.support.desk import QUICK
from tests.support.installation import Installation, Stored

PASSWORD = "correct horse battery staple"
OWNER = "server-1"
LOG_CAP_BYTES = 64 * 1024 * 1024
UP = EngineHealth(True, "Docker 20.10.24 answers: 4 CPUs, 7.8 GiB.")


class World:
    """An installation and its pages; a test puts there what builders and runners would have left."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.root, self.clock = installation.root, installation.clock
        self.db, self.log_storage = installation.db, installation.log_storage
        self.names, self.box = installation.names, installation.box
        self.health = UP
        self.public_url = "http://127.0.0.1:8080"

    def app(self) -> Starlette:
        return create_app(self.context, nullcontext)

    @property
    def context(self) -> ServerContext:
        return replace(self.installation.web, public_url=self.public_url, engine_health=lambda: self.health)

    def job(
        self, name: str, *, project: str = "acme", repository: str | None = "acme/report", **changes: Any
    ) -> Job:
        """A job, in a project that is made if it is not there."""
        with self.db.write() as tx:
            known = {each.name: each for each in projects.page(tx, 100, None)}
            owner = known.get(project) or self._project(tx, project)
            source = None
            if repository is not None:
                url = f"https://github.com/{repository}"
                source = SourceSettings(url, repo_key(url), "main")
            return jobs.create(tx, owner.id, spec_of(name, repository, **changes), source, self.clock.now())

    def _project(self, tx: Tx, name: str) -> Project:
        project_id = reserved_id(tx, "project")
        sealed = self.box.seal("a secret of all its hooks", of_project_hook(project_id))
        return projects.create(tx, name, sealed, self.clock.now(), project_id)

    def delivery(
        self,
        guid: str,
        at: datetime,
        *,
        repository: str = "acme/report",
        sha: str = "",
        sentence: str = "",
        event: str = "push",
        body: bytes = b"{}",
    ) -> str:
        new = NewDelivery("github", guid, event, event != "push", ("project:1",), body, repository, at)
        deliveries.record(self.db, [new])
        with self.db.write() as tx:
            if event == "push":
                found = deliveries.find(tx, guid)
                deliveries.settle(tx, found.id, "processed", sentence, at, ref="refs/heads/main", sha=sha)
        return guid

    def decide(
        self,
        job: Job,
        event: tuple[EventType, str | int],
        verdict: Verdict,
        sentence: str,
        at: datetime,
        **more: Any,
    ) -> None:
        with self.db.write() as tx:
            more.setdefault("rule", "push")
            decisions.record(
                tx,
                at=at,
                event=event,
                project_id=job.project_id,
                job_id=job.id,
                verdict=verdict,
                sentence=sentence,
                **more,
            )

    def build(
        self,
        job: Job,
        at: datetime,
        *,
        sha: str,
        message: str = "",
        log: bytes = b"",
        seconds: float = 40,
        state: str = "succeeded",
        plan: dict[str, Any] | None = None,
        dockerfile: str | None = None,
        steps: Sequence[BuildStep] = (),
    ) -> int:
        """A build as a builder would have left it: succeeded, failed, running or queued."""
        assert job.source is not None
        with self.db.write() as tx:
            build_id = builds.enqueue(
                tx,
                project_id=job.project_id,
                source_id=job.source.id,
                key=sha,
                url=job.source.url,
                ref="refs/heads/main",
                sha=sha,
                config=job.source.build,
                trigger=BuildTrigger(BuildTriggerType.PUSH),
                now=at,
                position=build_position(at),
                message=message,
                author="Ada",
            )
            if state == "queued":
                return build_id
            build = builds.claim(tx, OWNER, at)
            assert build is not None
            assert build.id == build_id
            builds.save_plan(tx, build, sha=sha, plan=plan, dockerfile=dockerfile)
            builds.save_steps(tx, build, steps)
            end = at + timedelta(seconds=seconds)
            image = "sha256:" + (sha * 2)[:64]
            if state == "succeeded":
                builds.succeed(tx, build, image=image, digest=image, now=end)
                deployed = Deployed(image, image, build_id, sha, "CD is on.", end, build.position)
                jobs.deploy(tx, job.id, deployed)
            elif state == "failed":
                builds.fail(
                    tx, build, BuildReason.BUILD_FAILED, "Step “RUN npm ci” failed: exit code 1.", end
                )
        if log:
            with self.log_storage.write_build(build_id, Redactor([])) as writer:
                write_lines(writer, at, seconds, log)
        return build_id

    def queue_run(
        self, job: Job, at: datetime, trigger: Trigger, overrides: dict[str, Any] | None = None, **more: Any
    ) -> int:
        effective = effective_of(job, overrides_from_json(overrides or {}))
        with self.db.write() as tx:
            return runs.enqueue(
                tx,
                name=f"{job.name}-{self.names.suffix()}",
                project_id=job.project_id,
                job_id=job.id,
                trigger=trigger,
                spec=effective.spec,
                overridden=effective.overridden,
                now=at,
                **more,
            )

    def run(
        self,
        job: Job,
        at: datetime,
        *,
        trigger: Trigger | None = None,
        seconds: float = 30,
        outcome: Outcome | None = None,
        log: bytes = b"",
        overrides: dict[str, Any] | None = None,
        verdict: Verdict | None = None,
        **more: Any,
    ) -> int:
        """A run that is over, or with `outcome` None one that is running: attempts until the verdict is final."""
        trigger = trigger or Trigger(TriggerType.SCHEDULE, cause="Its schedule was due.")
        run_id = self.queue_run(job, at, trigger, overrides, **more)
        if verdict is not None:
            self.decide(job, (EventType.MANUAL, run_id), verdict, trigger.cause, at, run_id=run_id)
        now = at
        while True:
            self.attempt(run_id, now, log, seconds)
            if outcome is None:
                return run_id
            now += timedelta(seconds=seconds)
            if (next_at := self.end_attempt(run_id, outcome, now)) is None:
                return run_id
            now = next_at

    def attempt(self, run_id: int, at: datetime, log: bytes = b"", seconds: float = 1) -> None:
        """Claim a queued run and start its next attempt."""
        with self.db.write() as tx:
            run = runs.claim(tx, OWNER, at)
            assert run is not None
            assert run.id == run_id
            attempt = run_attempts.begin_attempt(tx, run, at)
            assert attempt is not None
            for container in run_attempts.containers_of(tx, attempt.id):
                run_attempts.container_started(tx, run, container, {"id": "c"}, at)
        if log:
            with self.log_storage.write_attempt(run_id, attempt.number, Redactor([])) as writer:
                write_lines(writer, at, seconds, log)

    def end_attempt(self, run_id: int, outcome: Outcome, at: datetime) -> datetime | None:
        """What the run's end means; when it is tried again, if it is."""
        with self.db.write() as tx:
            run = runs.with_id(tx, run_id)
            attempt = run_attempts.attempts_of(tx, run_id)[-1]
            verdict = conclude(run, outcome, at)
            assert run_attempts.conclude(tx, run, attempt, outcome, verdict, at)
        return getattr(verdict, "available_at", None)


def build_position(at: datetime) -> int:
    return int(at.timestamp())


def write_lines(writer: Any, at: datetime, seconds: float, log: bytes) -> None:
    """`!` begins a line of standard error, `#` one of Jobyard's own."""
    lines = log.split(b"\n")
    for number, line in enumerate(lines):
        when = at + timedelta(seconds=seconds * number / max(len(lines) - 1, 1))
        if line.startswith(b"#"):
            writer.note(when, line[1:].strip().decode())
        else:
            stream = Stream.STDERR if line.startswith(b"!") else Stream.STDOUT
            writer.write(when, stream, line.removeprefix(b"!") + b"\n")
    writer.end_streams()


def spec_of(name: str, repository: str | None, **changes: Any) -> JobSpec:
    """A job as it is defined; what runs do to it is `cd-promote` unless `changes`, of the API's form, say otherwise."""
    source: dict[str, Any] = {"type": "none"}
    if repository is not None:
        source = {"type": "git", "git": {"url": f"https://github.com/{repository}", "branch": "main"}}
    return job_from_json({"name": name, "source": source, "run_on_image_change": "cd-promote", **changes})


@contextmanager
def world(root: Path, clock: Clock | None = None) -> Iterator[World]:
    """The installation in a directory, with one user of each role whose password is `PASSWORD`."""
    stored = None if (root / "jobyard.db").exists() else _with_users()
    with Installation.bare(root, stored=stored, clock=clock, log_cap_bytes=LOG_CAP_BYTES) as made:
        yield World(made)


@cache
def _with_users() -> Stored:
    """An installation with a user of each role, whose password takes no time to verify."""
    hashed = QUICK.hash(PASSWORD)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "jobyard.db"
        file.write_bytes(empty_sqlite())
        db = Database(f"sqlite:///{file}")
        with db.write() as tx:
            for role in Role:
                users.add(tx, f"{role}-user", hashed, role, START)
        db.close()
        return Stored(file.read_bytes())


def failed(reason: Reason, sentence: str, code: int | None = 1) -> Outcome:
    return Outcome(reason, code, sentence)


SUCCEEDED = Outcome(None, 0, "Exited with code 0.")


def payload(**fields: Any) -> bytes:
    return json.dumps(fields).encode()
