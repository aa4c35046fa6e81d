"""What must be true at the end of every history, of the rows that are stored and of what really happened."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from sqlite3 import Row

from app.domain.commit_statuses import shortened
from app.domain.crashes import GIVEN_UP_AFTER
from app.domain.notifications import DELAYS, key_of
from tests.support.fakes import commit, image_of
from tests.support.simulation.history import History
from tests.support.simulation.place import Place
from tests.support.simulation.world import WHOLE_LOG, Life
from tests.support.truth import SENTENCES, Facts, untrue

ENDED_OK, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
OVER = (ENDED_OK, FAILED, CANCELLED)


def check(history: History) -> None:
    world = history.world
    twice = {key: count for key, count in world.starts.items() if count > 1}
    assert not twice, f"started twice: {twice}"
    for place in history.places:
        at_end = AtEnd(place, history.facts)
        at_end.check_truth()
        if not place.is_dead:
            at_end.check_nothing_is_lost()
            at_end.check_all_are_told()
            left = [
                each.key for each in world.lives.values() if each.epoch == place.epoch and each.ended is None
            ]
            assert not left, f"still running: {left}"
            kept = [each.handle.key for each in place.engine.owned()]
            assert not kept, f"containers are left: {kept}"


class AtEnd:
    """One installation's rows, beside what its containers really did."""

    def __init__(self, place: Place, facts: Facts) -> None:
        self.place, self.facts = place, facts
        self.table = {name: place.stored.rows(name) for name in TABLES}
        self.runs = {run["id"]: run for run in self.table["run"]}
        self.jobs = {job["id"]: job["name"] for job in self.table["job"]}
        self.keys = {each["attempt_id"]: each["key"] for each in self.table["container"]}
        self.lives = {(each.labels["jobyard.run"], each.key): each for each in place.world.lives.values()}

    # -- nothing is lost --

    def check_nothing_is_lost(self) -> None:
        for name, last in (("run", OVER), ("build", OVER), ("deployment", (*OVER, "superseded"))):
            still = [(each["id"], each["status"]) for each in self.table[name] if each["status"] not in last]
            assert not still, f"{name} not over: {still}"
        statuses = {each["guid"]: each["status"] for each in self.table["delivery"]}
        is_of_jobs = any(job["source_id"] for job in self.table["job"])
        for guid in self.place.pushed:
            given_up = statuses.get(guid) == "failed" and self.facts.ends >= GIVEN_UP_AFTER
            wanted = "processed" if is_of_jobs else "ignored"
            assert given_up or statuses.get(guid) == wanted, f"{guid}: {statuses.get(guid)}"
        assert set(self.place.asked) <= self.runs.keys(), "a run that was asked for is lost"
        self._check_decisions(statuses)
        if not any(build["status"] == FAILED for build in self.table["build"]):
            self._check_images()

    def _check_decisions(self, statuses: dict[str, str]) -> None:
        """Of each push and each job that it is for there is one, and of each build that ended well."""
        of_git = [job["id"] for job in self.table["job"] if job["source_id"] is not None]
        counts = Counter(
            (each["event_type"], each["event_id"], each["job_id"]) for each in self.table["decision"]
        )
        for guid, status in statuses.items():
            if status == "processed":
                found = [counts["push", guid, job] for job in of_git]
                assert found == [1] * len(of_git), f"{guid} was decided {found} times"
        told = {
            each["build_id"]
            for each in self.table["decision"]
            if each["event_type"] in ("build", "deployment")
        }
        told |= {each["build_id"] for each in self.table["deployment_step"]}
        for build in self.table["build"]:
            assert build["status"] != ENDED_OK or build["id"] in told, (
                f"nothing is decided of build {build['id']}"
            )

    def _check_images(self) -> None:
        """The newest commit is what a job has that is deployed by itself, once it is built."""
        made = {build["sha"]: build for build in self.table["build"] if build["status"] == ENDED_OK}
        for build in made.values():
            assert build["image"] == image_of(build["sha"]), f"build {build['id']}"
        numbers = [int(guid.removeprefix("push-")) for guid in self.place.pushed]
        newest = commit(max(numbers, default=0))
        for job in self.table["job"]:
            if job["name"] == "report" and newest in made and not self.facts.restores:
                deployed = json.loads(job["deployed"] or "{}")
                assert deployed.get("sha") == newest, f"{deployed} instead of {newest}"

    # -- all are told --

    def check_all_are_told(self) -> None:
        """The forge shows of each commit what is stored, unless it refused that; and each end of a run is told."""
        outward = self.place.outward
        for each in self.table["commit_status"]:
            what = f"status {dict(each)}"
            if not each["is_given_up"]:
                shown = outward.shown.get((each["sha"], each["context"]))
                assert shown == (each["state"], shortened(each["sentence"])), f"{what}: shown is {shown}"
        chat = next(each["id"] for each in self.table["notification_target"] if each["kind"] == "slack")
        messages = [each for each in self.table["notification"] if each["target_id"] == chat]
        told = sum(each["count"] for each in messages)
        assert told == len(self.runs), f"{told} ends of {len(self.runs)} runs are told"
        for message in messages:
            self._check_message(message)

    def _check_message(self, message: Row) -> None:
        """It arrived, and once more only where nobody may have heard or stored that it did."""
        outward, facts = self.place.outward, self.facts
        created_at = datetime.fromisoformat(message["created_at"])
        key = key_of(message["id"], created_at)
        arrived = outward.arrived[key]
        what = f"message {dict(message)} arrived {arrived} times"
        if message["sent_at"] is None:
            assert key in outward.refused or message["tries"] > len(DELAYS), what
        else:
            assert arrived, what
        unstored = facts.ends + facts.full + facts.set_back + facts.set_forward + facts.restores
        assert arrived <= 1 + outward.unheard[key] + unstored, what

    # -- nothing is untrue --

    def check_truth(self) -> None:
        for attempt in self.table["attempt"]:
            self._check_attempt(self.runs[attempt["run_id"]], attempt)
        for run in self.runs.values():
            self._check_run(run)
        self._check_schedules()
        for where, sentence in self._sentences():
            assert not untrue(sentence, self.facts), f"untrue, of {where}: {sentence}"
            assert self.place.epoch or "restored" not in sentence, f"untrue, of {where}: {sentence}"

    def _life(self, run: Row, attempt: Row) -> Life | None:
        """Of the attempt's own container, whichever epoch it is of."""
        return self.lives.get((run["name"], self.keys[attempt["id"]]))

    def _check_attempt(self, run: Row, attempt: Row) -> None:
        life = self._life(run, attempt)
        what = f"attempt {attempt['number']} of {run['name']}: {dict(attempt)}, really {life}"
        match attempt["status"], attempt["reason"]:
            case "succeeded", _:
                assert life is not None, what
                assert (life.how, life.exit_code, attempt["exit_code"]) == ("by itself", 0, 0), what
                logs = self.place.logs_of(run["id"], attempt["number"])
                assert WHOLE_LOG in logs, f"{what}\n{logs}"
            case "failed", "exit_nonzero":
                assert life is not None, what
                assert (life.how, life.exit_code, attempt["exit_code"]) == ("by itself", 3, 3), what
            case "failed", "time_limit":
                assert self.jobs[run["job_id"]] == "limited", what
            case "failed", "engine_failed":
                assert self.facts.engine_faults or self.facts.restarts, what
            case "failed", "interrupted":
                assert self.facts.ends or self.place.epoch, what
            case "cancelled", "cancelled":
                assert run["id"] in self.place.cancelled, what
            case "cancelled", "replaced":
                assert self.jobs[run["job_id"]] == "replaces", what
            case "running", None:
                assert self.place.is_dead, what
            case _:
                raise AssertionError(what)

    def _check_run(self, run: Row) -> None:
        attempts = [each for each in self.table["attempt"] if each["run_id"] == run["id"]]
        what = f"{run['name']}: {dict(run)}"
        if run["status"] == ENDED_OK:
            assert attempts[-1]["status"] == ENDED_OK, what
        elif run["status"] == CANCELLED and run["reason"] == "cancelled":
            assert run["id"] in self.place.cancelled, what
        elif run["status"] == FAILED and run["reason"] == "exit_nonzero":
            limit = {"report": 2, "task": 1, "limited": 1, "forbids": 1, "migrate": 1}
            assert run["failed"] == limit.get(self.jobs[run["job_id"]], 0) + 1, what
        assert sum(each["status"] == ENDED_OK for each in attempts) <= 1, what

    def _check_schedules(self) -> None:
        """A scheduled time starts once, and runs of a job that must be alone are never beside one another."""
        scheduled = [run for run in self.runs.values() if run["trigger_type"] == "schedule"]
        times = Counter((run["job_id"], run["scheduled_for"]) for run in scheduled)
        assert max(times.values(), default=1) == 1, f"started twice: {times}"
        spans: dict[int, list[Life]] = defaultdict(list)
        for run in scheduled:
            for life in self.lives.values():
                if life.labels["jobyard.run"] == run["name"] and not life.is_late:
                    spans[run["job_id"]].append(life)
        for of_job in spans.values():
            for one in of_job:
                for other in of_job:
                    apart = (
                        one is other or one.epoch != other.epoch or (one.ended or one.began) <= other.began
                    )
                    assert apart or (other.ended or other.began) <= one.began, (
                        f"beside one another: {one}, {other}"
                    )

    def _sentences(self) -> Iterator[tuple[str, str]]:
        for table, column in SENTENCES:
            for row in self.table[table]:
                if row[column]:
                    yield f"{table} {row['id']}", row[column]


TABLES = (*dict(SENTENCES), "job", "commit_status", "notification", "notification_target")
