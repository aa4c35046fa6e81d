"""One installation that is worked with while its surroundings are broken, and what came of it."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx2 as httpx
from sqlalchemy import create_engine, text

from scripts.soaking.tally import Tally
from tests.support.engine_events import engine_events
from tests.support.git_server import git_server
from tests.support.hosted import HostedJob
from tests.support.server import ApiError, JobyardServer
from tests.support.truth import SENTENCES, Facts, untrue

END = "over and done"
MAY_LACK = "may be missing"  # a log says so of output from while the engine was away
BUILD_SECONDS, SCHEDULED_SECONDS = 0.5, 70  # a scheduled run goes on beyond the next time
SETTLES_WITHIN = 1500.0
OPEN = """SELECT (SELECT count(*) FROM delivery WHERE status = 'received')
    + (SELECT count(*) FROM build WHERE status IN ('queued', 'running'))
    + (SELECT count(*) FROM run WHERE status IN ('queued', 'running'))"""
ADOPTED = re.compile(r"^(\S+ \S+) INFO app\.orchestration\.reconciling: going on with run", re.MULTILINE)


def script(seconds: float, code: int = 0) -> str:
    return f"echo begin; sleep {seconds}; echo {END}; exit {code}"


def dockerfile(seconds: float) -> str:
    return (
        "FROM busybox:latest\nCOPY unique /unique\n"
        f"RUN for i in 1 2 3 4 5; do echo building $i; sleep {seconds / 5}; done\n"
        f'CMD ["sh", "-c", "{script(1)}"]\n'
    )


class Lane:
    """`act` does one thing that users do; what was accepted of it must come to its end. `is_scheduled` adds jobs that
    are due every minute and must not be beside themselves.
    """

    def __init__(
        self,
        root: Path,
        chance: Random,
        servers: Sequence[JobyardServer],
        *,
        build_seconds: float = BUILD_SECONDS,
        is_scheduled: bool = True,
        docker_host: str | None = None,
    ) -> None:
        self.root = root
        self.chance = chance
        self.servers = list(servers)
        self.facts = Facts()
        self.accepted: list[str] = []
        self.asked: list[int] = []
        self.spawned: list[datetime] = []
        self.may_fail: set[str] = set()  # reasons for which runs that nothing is wrong with may fail
        self.has_all_events = True  # of the engine, and all output: it is not restarted
        self.is_scheduled = is_scheduled
        self.build_seconds = build_seconds
        self._docker_host = docker_host
        self._closing = ExitStack()

    def __enter__(self) -> Lane:
        (self.root / "forge/acme").mkdir(parents=True)
        forge = self._closing.enter_context(git_server(self.root / "forge"))
        for server in self.servers:
            self._closing.callback(server.close)
            self.start(server)
        first = self.servers[0]
        self.hosted = HostedJob(first, forge, self.root / "forge/acme", "report")
        self.hosted.job(retry_limit=2)
        self._make_jobs(first)
        self.database = create_engine(first.database_url.replace("postgresql://", "postgresql+psycopg://"))
        self._closing.callback(self.database.dispose)
        self.events = self._closing.enter_context(engine_events(first.installation, self._docker_host))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _make_jobs(self, server: JobyardServer) -> None:
        image = {"type": "image", "image": "busybox:latest"}
        obeys = f"trap 'exit 0' TERM; echo begin; sleep 20 & wait; echo {END}"
        every_minute = {"cron": "* * * * *"}
        jobs: Mapping[str, Mapping[str, Any]] = {
            "task": {"command": script(1)},
            "long": {"command": script(8), "retry_limit": 2},
            "fails": {"command": script(0.2, 3), "retry_limit": 1},
            "obeys": {"command": obeys},
        }
        if self.is_scheduled:
            for policy in ("forbid", "replace"):
                schedule = {**every_minute, "concurrency_policy": policy}
                jobs = {
                    **jobs,
                    f"{policy}s": {
                        "command": script(SCHEDULED_SECONDS),
                        "kind": "cron",
                        "schedule": schedule,
                    },
                }
        for name, fields in jobs.items():
            server.make_job(name, "", source=image, **{**fields, "command": ["sh", "-c", fields["command"]]})

    def copied(self, server: JobyardServer) -> Lane:
        """The lane of a server that has been given a copy of this one's data, and what was asked for until now. The
        repository and the engine's events are those of both.
        """
        other = copy(self)
        other.servers, other.facts, other.spawned = [server], replace(self.facts), []
        other.accepted, other.asked = [*self.accepted], [*self.asked]
        other.hosted = copy(self.hosted)
        other.database = create_engine(server.database_url)
        return other

    # -- servers --

    def start(self, server: JobyardServer) -> None:
        self.spawned.append(datetime.now())  # noqa: DTZ005  as its log has it
        server.start()

    def kill(self, server: JobyardServer) -> None:
        self.facts.kills += 1
        server.kill()

    # -- what users do --

    def act(self, server: JobyardServer) -> None:
        """Whether it was taken is not known where the server dies meanwhile."""
        number = self.chance.random()
        with suppress(httpx.TransportError, ApiError):
            if number < 0.3:
                self.push(server)
            elif number < 0.9:
                self.run(server, self.chance.choice(("task", "task", "long", "fails", "obeys")))
            else:
                self.cancel(server)

    def push(self, server: JobyardServer) -> None:
        self.hosted.server = server
        files = {"Dockerfile": dockerfile(self.build_seconds), "unique": str(time.time_ns())}
        sent = self.hosted.push(files)
        if sent.status == 202:
            self.accepted.append(sent.delivery)

    def run(self, server: JobyardServer, job: str) -> Any:
        run = server.api("POST", f"/projects/acme/jobs/{job}/runs", {})
        self.asked.append(run["id"])
        return run

    def cancel(self, server: JobyardServer) -> None:
        found = [each for each in server.items("/runs") if each["status"] in ("queued", "running")]
        if found:
            self.facts.cancels += 1
            server.api("POST", f"/runs/{self.chance.choice(found)['id']}/cancel", {})

    # -- what came of it --

    def open_work(self) -> int:
        return self.number(OPEN)

    def number(self, query: str) -> int:
        with self.database.connect() as connection:
            return int(connection.execute(text(query)).scalar_one())

    def rows(self, table: str) -> list[Mapping[str, Any]]:
        with self.database.connect() as connection:
            return [dict(row) for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings()]

    def newest_build_says(self, words: str) -> bool:
        server = self.servers[0]
        found = server.builds("report")
        return bool(found) and words in server.text(f"/builds/{found[0]['id']}/logs")

    def settle(self, tally: Tally) -> None:
        """No more is asked for: what is under way comes to its end."""
        server = self.servers[0]
        for policy in ("forbids", "replaces") if self.is_scheduled else ():
            server.api("POST", f"/projects/acme/jobs/{policy}/pause", {})
        deadline = time.monotonic() + SETTLES_WITHIN
        while self.open_work() and time.monotonic() < deadline:
            time.sleep(0.5)
        self.count(tally)

    def count(self, tally: Tally) -> None:
        Count(self, tally).all()


class Count:
    """One lane's rows, beside what its engine told of containers."""

    def __init__(self, lane: Lane, tally: Tally) -> None:
        self.lane, self.tally = lane, tally
        self.table = {name: lane.rows(name) for name in (*dict(SENTENCES), "job")}
        self.jobs = {job["id"]: job["name"] for job in self.table["job"]}
        self.runs = {run["id"]: run for run in self.table["run"]}
        about = [(event, event["Actor"]["Attributes"]) for event in lane.events.told]
        names = {run["name"] for run in self.runs.values()}
        self.told = [(event, of) for event, of in about if of["jobyard.run"] in names]

    def all(self) -> None:
        self._count()
        self._find_lost()
        self._find_doubled()
        self._find_overlapping()
        self._find_false_successes()
        for table, column in SENTENCES:
            for row in self.table[table]:
                if row[column]:
                    self.tally.say(row[column])
                    if untrue(row[column], self.lane.facts):
                        self.tally.untrue.append(f"{table} {row['id']}: {row[column]}")
        for server in self.lane.servers:
            if "Traceback" in server.log:
                self.tally.untrue.append(f"a fault of ours in {server.log[-2000:]}")

    def _count(self) -> None:
        tally, lane = self.tally, self.lane
        tally.kills += lane.facts.kills
        tally.deliveries += len(lane.accepted)
        tally.slots += sum(each["event_type"] == "schedule" for each in self.table["decision"])
        tally.runs += len(self.runs)
        tally.containers += len(
            {about["jobyard.key"] for event, about in self.told if event["Action"] == "start"}
        )
        tally.adoptions += self._adoptions()

    def _adoptions(self) -> Iterator[float]:
        """From the start of a server to its first word of a run that it goes on with."""
        for server in self.lane.servers:
            said = [datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f") for at in ADOPTED.findall(server.log)]  # noqa: DTZ007
            for began, next_began in pairwise([*self.lane.spawned, datetime.now()]):  # noqa: DTZ005
                first = next((at for at in said if began <= at < next_began), None)
                if first is not None:
                    yield (first - began).total_seconds()

    def _find_lost(self) -> None:
        lost = self.tally.lost
        deliveries = {each["guid"]: each for each in self.table["delivery"]}
        for guid in self.lane.accepted:
            found = deliveries.get(guid)
            if found is None or found["status"] != "processed":
                lost.append(f"delivery {guid}: {found and (found['status'], found['sentence'])}")
        for name in ("build", "run"):
            for row in self.table[name]:
                if row["status"] in ("queued", "running"):
                    lost.append(f"{name} {row['id']} is still {row['status']}: {row['sentence']}")
        lost += [
            f"run {run_id}, which was asked for" for run_id in self.lane.asked if run_id not in self.runs
        ]
        for build in self.table["build"]:
            if build["status"] == "failed":
                lost.append(f"build {build['id']}: {build['sentence']}")
        for run in self.runs.values():
            is_expected = self.jobs[run["job_id"]] == "fails" or run["reason"] in self.lane.may_fail
            if run["status"] == "failed" and not is_expected:
                lost.append(f"run {run['name']}: {run['sentence']}")

    def _find_doubled(self) -> None:
        starts = Counter(about["jobyard.key"] for event, about in self.told if event["Action"] == "start")
        times = Counter(
            (run["job_id"], run["scheduled_for"]) for run in self.runs.values() if run["scheduled_for"]
        )
        decided = Counter(each["event_id"] for each in self.table["decision"] if each["event_type"] == "push")
        for what, counts in (("container", starts), ("scheduled time", times), ("delivery", decided)):
            self.tally.doubled += [f"{what} {each}: {n} times" for each, n in counts.items() if n > 1]

    def _find_overlapping(self) -> None:
        """Runs of one scheduled job, by the engine's clock."""
        scheduled = {
            run["name"]: run["job_id"] for run in self.runs.values() if run["trigger_type"] == "schedule"
        }
        spans: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for event, about in self.told:
            if event["Action"] in ("start", "die") and about["jobyard.run"] in scheduled:
                spans[about["jobyard.run"]][event["Action"] == "die"] = event["timeNano"]
        of_job: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for run, (began, ended) in spans.items():
            of_job[scheduled[run]].append((began, ended, run))
        for found in of_job.values():
            for (_, ended, one), (began, _, other) in zip(sorted(found), sorted(found)[1:], strict=False):
                if began < ended or not ended:
                    self.tally.overlapping.append(f"{one} and {other}")

    def _find_false_successes(self) -> None:
        """By the engine's own word, and by the container's: each says that it is at its end."""
        codes = {
            (about["jobyard.run"], about["jobyard.attempt"]): about["exitCode"]
            for event, about in self.told
            if event["Action"] == "die"
        }
        for run in self.runs.values():
            if run["status"] != "succeeded":
                continue
            unknown = "" if self.lane.has_all_events else "0"
            code = codes.get((run["name"], str(run["attempts"])), unknown)
            said = self._log_of(run["id"])
            is_whole = END in said or (not self.lane.has_all_events and MAY_LACK in said)
            if code != "0" or not is_whole:
                self.tally.false_success.append(f"{run['name']}: exit code {code}, its log: {said}")

    def _log_of(self, run_id: int) -> str:
        folders = [each.data / f"logs/runs/{run_id // 1000:06d}/{run_id}" for each in self.lane.servers]
        return "".join(file.read_text() for folder in folders for file in sorted(folder.glob("*.log")))


@contextmanager
def lane(root: Path, chance: Random, server: JobyardServer | None = None, **options: Any) -> Iterator[Lane]:
    root.mkdir(parents=True)
    with Lane(root, chance, [server or JobyardServer(root / "data")], **options) as made:
        yield made
