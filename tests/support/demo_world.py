"""A furnished installation: what a team's afternoon looks like. For pictures and for tests that need a full page."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.build_parts import BuildStep
from app.domain.decisions import EventType, Verdict
from app.domain.job.records import Job
from app.domain.runs import Outcome, Reason, Trigger, TriggerType
from app.store import jobs
from tests.support.seed import SUCCEEDED, World, failed

PUSH_CAUSE = "Build {build} of {sha} succeeded, CD is on and run on image change is CD & promotion."
DOCKERFILE = """\
# syntax=docker/dockerfile:1
FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
ENV PYTHONUNBUFFERED=1
CMD ["python", "report.py"]
"""
PLAN = {
    "runtime": "python",
    "version": "3.11",
    "version_source": ".python-version",
    "package_manager": "pip",
    "install_command": "pip install -r requirements.txt",
    "build_command": None,
    "run_command": "python report.py",
    "processes": {},
    "reasons": [
        "Python, because requirements.txt is there.",
        "Version 3.11, because .python-version says so.",
        "Dependencies with pip from requirements.txt.",
        "Starts report.py, the only script with a main guard.",
    ],
    "warnings": ["requests is not pinned in requirements.txt: another build may bring another version."],
}
STEPS = [
    ("load build definition", 0.0, 0.2, True),
    ("FROM python:3.11-slim", 0.2, 0.6, True),
    ("COPY requirements.txt ./", 0.8, 0.3, False),
    ("RUN pip install -r requirements.txt", 1.1, 14.2, False),
    ("COPY . .", 15.3, 0.8, False),
    ("exporting to image", 16.1, 3.4, False),
]
BUILD_LOG = (
    b"""# Fetching a8810fe of https://github.com/acme/report
# Python, because requirements.txt is there.
#5 [2/5] COPY requirements.txt ./
#6 [3/5] RUN pip install -r requirements.txt
#6 1.114 Collecting pandas==2.2.2
#6 2.841   Downloading pandas-2.2.2-cp311-cp311-manylinux_2_17_x86_64.whl (13.0 MB)
#6 13.92 Successfully installed numpy-1.26.4 pandas-2.2.2 requests-2.32.3
#7 [4/5] COPY . .
#8 exporting to image
# Built sha256:88e1d0aa41f2.""".replace(b"\n#5", b"\n\x1b[0m#5")
    .replace(b"\n#6", b"\n\x1b[0m#6")
    .replace(b"\n#7", b"\n\x1b[0m#7")
    .replace(b"\n#8", b"\n\x1b[0m#8")
)
EMBED_LOG = b"""# attempt of embeddings, container 5c1e90d2
loading 12,482 documents
\x1b[32mOK\x1b[0m   model all-MiniLM-L6-v2 in 1.9 s
batch   1/98  127 docs   0.9 s
batch   2/98  127 docs   0.9 s
!WARN rate limited by upstream, waiting 2.0 s
batch   3/98  127 docs   0.9 s
token ***
batch   4/98  127 docs   0.9 s
!Traceback (most recent call last):
!  File "/app/embed.py", line 61, in <module>
!    store(batch)
!MemoryError: cannot grow the index
# Killed for using more memory than the plan has"""
REPORT_LOG = b"""# attempt of nightly-report, container 7710fa2e
reading orders of 2025-11-21
1,204 rows
wrote report.pdf (82 kB)
sent to 14 readers
# Exited with code 0."""
SYNC_LOG = b"""# attempt of sync-orders, container 91aa03c7
connecting to orders-db
cursor at 2,481,003
fetched 500 orders
fetched 500 orders
fetched 500 orders"""


def sha_of(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Demo:
    """What to look at."""

    finished_run: int
    failed_run: int
    running_run: int
    build: int
    running_build: int
    job: Job


def furnish(world: World, now: datetime) -> Demo:
    """Everything happened before `now`; what is running began seconds ago."""
    rng = random.Random(4)
    report = world.job(
        "nightly-report",
        schedule=_schedule("30 2 * * *", "Europe/Berlin"),
        kind="cron",
        time_limit_seconds=1800,
    )
    sync = world.job(
        "sync-orders", repository="acme/shop", schedule=_schedule("*/5 * * * *"), kind="cron", retry_limit=2
    )
    migrate = world.job(
        "migrate", repository="acme/shop", command="python manage.py migrate", run_on_image_change="always"
    )
    env = {
        "BATCH": "64",
        "MODEL": "all-MiniLM-L6-v2",
        "API_TOKEN": {"value": "sealed", "secret": True, "scope": "run"},
    }
    embed = world.job(
        "embeddings",
        repository="acme/embed",
        env=env,
        plan="micro",
        retry_limit=3,
        time_limit_seconds=480,
        command="python embed.py --all",
    )
    cleanup = world.job("cleanup", repository="acme/tools", schedule=_schedule("0 * * * *"), kind="cron")
    world.job("backfill", project="research", repository=None)

    builds = {job.id: _build_history(world, job, now) for job in (report, sync, migrate, embed, cleanup)}
    for job, typical, spread, chance in (
        (report, 100, 40, 0.0),
        (migrate, 8, 3, 0.05),
        (cleanup, 20, 9, 0.0),
    ):
        _history(world, job, now - timedelta(minutes=12), typical, spread, chance, rng)
    _history(world, sync, now - timedelta(minutes=5), 38, 12, 0.1, rng)
    _history(world, embed, now - timedelta(hours=3), 300, 90, 0.4, rng, count=21)

    failed_run = _embeddings(world, embed, builds[embed.id], now - timedelta(minutes=46))
    finished_run = world.run(
        report,
        now - timedelta(minutes=10),
        trigger=_pushed(builds[report.id], "a8810fe"),
        seconds=102,
        outcome=SUCCEEDED,
        log=REPORT_LOG,
        build_id=builds[report.id],
        sha=sha_of("a8810fe"),
        image="sha256:88e1",
        digest="sha256:" + "88e1d0aa41f2" * 5 + "c0de",
    )
    running_build = world.build(
        _again(world, report),
        now - timedelta(seconds=11),
        sha=sha_of("next"),
        message="Split the report by region",
        state="running",
        plan=PLAN,
        dockerfile=DOCKERFILE,
        steps=_steps(4, running=True),
        log=b"\n".join(BUILD_LOG.split(b"\n")[:5]),
    )
    running_run = world.run(
        sync,
        now - timedelta(seconds=18),
        log=SYNC_LOG,
        seconds=15,
        trigger=Trigger(TriggerType.SCHEDULE, cause="Its schedule */5 * * * * was due."),
        sha=sha_of("shop"),
    )
    _why_not(world, report, cleanup, embed, now)
    _deliveries(world, report, migrate, builds, now)
    return Demo(finished_run, failed_run, running_run, builds[report.id], running_build, _again(world, embed))


def _schedule(cron: str, zone: str = "UTC") -> dict[str, object]:
    return {"cron": cron, "time_zone": zone}


def _again(world: World, job: Job) -> Job:
    with world.db.read() as tx:
        return jobs.with_id(tx, job.id)


def _pushed(build: int, sha: str) -> Trigger:
    return Trigger(TriggerType.IMAGE_CHANGE, cause=PUSH_CAUSE.format(build=build, sha=sha))


def _build_history(world: World, job: Job, now: datetime) -> int:
    message = {
        "nightly-report": "Read the orders in one query",
        "sync-orders": "Keep the cursor in the database",
    }.get(job.name, f"Tidy {job.name}")
    at = now - timedelta(minutes=13 + job.id * 11)
    sha = sha_of(job.name)
    build = world.build(
        job,
        at,
        sha=sha,
        message=message,
        seconds=19.5,
        plan=PLAN,
        dockerfile=DOCKERFILE,
        steps=_steps(6),
        log=BUILD_LOG,
    )
    if job.name != "embeddings":
        sentence = (
            f"Build {build} of {sha[:7]} succeeded, CD is on and run on image change is CD & promotion."
        )
        event = (EventType.BUILD, build)
        world.decide(job, event, Verdict.STARTED, sentence, at + timedelta(seconds=20), build_id=build)
    return build


def _steps(count: int, *, running: bool = False) -> list[BuildStep]:
    steps = [
        BuildStep(index, 5, name, started, duration, cached)
        for index, (name, started, duration, cached) in enumerate(STEPS[:count])
    ]
    if running:
        steps[-1] = replace(steps[-1], duration=None)
    return steps


def _history(
    world: World,
    job: Job,
    until: datetime,
    typical: float,
    spread: float,
    chance: float,
    rng: random.Random,
    count: int = 23,
) -> None:
    for back in range(count, 0, -1):
        bad = rng.random() < chance
        outcome = failed(Reason.EXIT_NONZERO, "Exited with code 1") if bad else SUCCEEDED
        at = until - timedelta(minutes=back * 25)
        world.run(
            job,
            at,
            seconds=max(2.0, rng.gauss(typical, spread)) * (0.5 if bad else 1),
            outcome=outcome,
            sha=sha_of(job.name),
        )


def _embeddings(world: World, job: Job, build: int, at: datetime) -> int:
    run_id = world.queue_run(
        job,
        at,
        _pushed(build, sha_of(job.name)[:7]),
        {"env": {"BATCH": "127"}},
        build_id=build,
        sha=sha_of(job.name),
        image="i",
        digest="sha256:" + sha_of("embed") + "0" * 24,
    )
    world.decide(
        job,
        (EventType.BUILD, build),
        Verdict.STARTED,
        PUSH_CAUSE.format(build=build, sha=sha_of(job.name)[:7]),
        at,
        run_id=run_id,
        build_id=build,
        rule="run_on_image_change:cd-promote",
        inputs={"cd_enabled": True, "run_on_image_change": "cd-promote", "paused": False},
    )
    oom = failed(Reason.OUT_OF_MEMORY, "Killed for using more memory than the plan has", 137)
    ends: list[tuple[float, Outcome]] = [
        (82, failed(Reason.EXIT_NONZERO, "Exited with code 1")),
        (134, oom),
        (236, failed(Reason.TIME_LIMIT, "Stopped at the time limit", 143)),
    ]
    now: datetime | None = at
    for seconds, outcome in ends:
        assert now is not None
        world.attempt(run_id, now, EMBED_LOG, seconds)
        over = now + timedelta(seconds=seconds)
        now = world.end_attempt(run_id, outcome, over)
    return run_id


def _why_not(world: World, report: Job, cleanup: Job, embed: Job, now: datetime) -> None:
    world.decide(
        embed,
        (EventType.PUSH, "d-tag"),
        Verdict.SKIPPED,
        "Push of refs/tags/v1.4: tags don't build.",
        now - timedelta(minutes=58),
        rule="tag",
    )
    world.decide(
        cleanup,
        (EventType.SCHEDULE, "14:00"),
        Verdict.SKIPPED,
        "Its last run is still going and the concurrency policy is forbid.",
        now - timedelta(minutes=20),
        rule="concurrency:forbid",
    )
    world.decide(
        report,
        (EventType.PUSH, "d-docs"),
        Verdict.SKIPPED,
        "Push of 77ab01c to main changed 3 files, all ignored by the path rules (docs/**).",
        now - timedelta(minutes=9),
        rule="paths",
        inputs={"paths": ["docs/**"], "mode": "ignore", "changed": ["docs/a.md", "docs/b.md"]},
    )


def _deliveries(world: World, report: Job, migrate: Job, builds: dict[int, int], now: datetime) -> None:
    world.delivery(
        "c0ffee01-9d1c-11f0-8a5e-d1d1b1b1b1b1", now - timedelta(hours=3), sentence="", event="ping"
    )
    world.delivery(
        "d-tag",
        now - timedelta(minutes=58),
        repository="acme/embed",
        sha=sha_of("v1.4"),
        sentence="1 decision: skipped.",
    )
    world.delivery(
        "4f0c2a10-9d1c-11f0-9d53-0b8a3b4c5d6e",
        now - timedelta(minutes=40),
        repository="acme/shop",
        sha=sha_of("shop"),
        sentence="2 decisions: built, skipped.",
    )
    world.decide(
        migrate,
        (EventType.PUSH, "4f0c2a10-9d1c-11f0-9d53-0b8a3b4c5d6e"),
        Verdict.BUILT,
        f"Push of {sha_of('shop')[:7]} to main.",
        now - timedelta(minutes=40),
        build_id=builds[migrate.id],
    )
    world.delivery("d-docs", now - timedelta(minutes=9), sha=sha_of("docs"), sentence="1 decision: skipped.")
    world.delivery(
        "9ad01f72-9d1f-11f0-8c11-77d2f3a4b5c6",
        now - timedelta(seconds=12),
        sha=sha_of("next"),
        sentence="1 decision: built.",
    )
    world.decide(
        report,
        (EventType.PUSH, "9ad01f72-9d1f-11f0-8c11-77d2f3a4b5c6"),
        Verdict.BUILT,
        f"Push of {sha_of('next')[:7]} to main.",
        now - timedelta(seconds=12),
        build_id=builds[report.id] + 5,
    )
