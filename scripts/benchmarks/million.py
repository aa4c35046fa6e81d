"""An installation of 1,000 jobs with 1,000,000 runs behind them, as a team has it after years."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from scripts.benchmarks.fake_server import FakeEngineServer
from tests.support.server import JobyardServer

PROJECTS, JOBS_OF_EACH, RUNS, BUILDS, DECISIONS = 20, 50, 1_000_000, 20_000, 200_000
# Where a number decides what becomes of a run, build or decision: most end well, and some always don't.
FAILS = "(n * 7919) % 23 = 0 OR n % 1000 < 70 AND n > :all - 1000"
ROWS = {
    "run": {
        "id": "n",
        "name": "'run-' || n",
        "project_id": "1 + (n % 1000) / 50",
        "job_id": "1 + n % 1000",
        "status": f"CASE WHEN {FAILS} THEN 'failed' ELSE 'succeeded' END",
        "reason": f"CASE WHEN {FAILS} THEN 'exit_nonzero' END",
        "exit_code": f"CASE WHEN {FAILS} THEN 1 ELSE 0 END",
        "trigger_type": "CASE n % 3 WHEN 0 THEN 'manual' ELSE 'schedule' END",
        "build_id": "1 + n % 20000",
        "sha": "substr('0123456789abcdef0123456789abcdef0123456789abcdef', 1 + n % 8, 40)",
        "log_bytes": "0",
        "attempts": "1",
        "first_started_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 7, 'unixepoch')",
        "started_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 7, 'unixepoch')",
        "created_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 7 - 1, 'unixepoch')",
        "finished_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 7 + n % 97, 'unixepoch')",
    },
    "build": {
        "id": "n",
        "project_id": "1 + (n % 1000) / 50",
        "key": "'build-' || n",
        "ref": "'refs/heads/main'",
        "on_branch": "1",
        "status": "CASE WHEN n % 41 = 0 THEN 'failed' ELSE 'succeeded' END",
        "reason": "CASE WHEN n % 41 = 0 THEN 'build_failed' END",
        "sha": "substr('0123456789abcdef0123456789abcdef0123456789abcdef', 1 + n % 8, 40)",
        "log_bytes": "0",
        "created_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 350, 'unixepoch')",
        "started_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 350 + 1, 'unixepoch')",
        "finished_at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 350 + 60, 'unixepoch')",
    },
    "decision": {
        "id": "n",
        "at": "strftime('%Y-%m-%d %H:%M:%f000', :now - (:all - n) * 35, 'unixepoch')",
        "event_type": "'push'",
        "event_id": "'push-' || (n / 12)",
        "project_id": "1 + (n % 1000) / 50",
        "job_id": "1 + n % 1000",
        "verdict": "CASE n % 4 WHEN 0 THEN 'skipped' ELSE 'started' END",
        "run_id": "CASE n % 4 WHEN 0 THEN NULL ELSE 5 * n END",
        "build_id": "NULL",
    },
}


def furnished(data: Path) -> JobyardServer:
    """A server that is up, with everything in its database. Nothing runs, and nothing is removed or looked up."""
    server = FakeEngineServer(data, retention_days="0", retention_runs="0", git_allow="https")
    server.start()
    for project in range(PROJECTS):
        server.api("POST", "/projects", {"name": f"team-{project:02}"})
        for number in range(JOBS_OF_EACH):
            server.api("POST", f"/projects/team-{project:02}/jobs", _job(project * JOBS_OF_EACH + number))
    run = server.api("POST", "/projects/team-00/jobs/job-0000/runs", {"image": "busybox:latest"})["id"]
    server.wait_for("a run has ended", lambda: server.api("GET", f"/runs/{run}")["finished_at"])
    server.stop()
    _fill(data / "jobyard.db")
    server.start()
    return server


def _job(number: int) -> dict[str, Any]:
    job: dict[str, Any] = {"name": f"job-{number:04}"}
    job["source"] = {
        "type": "git",
        "git": {"url": f"https://git.invalid/acme/app-{number}.git", "branch": "main"},
    }
    if number % 3 == 0:
        job |= {"kind": "cron", "schedule": {"cron": "0 0 1 1 *", "time_zone": "Europe/Berlin"}}
    return job


def _fill(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.row_factory = sqlite3.Row
        model = dict(database.execute("SELECT * FROM run").fetchone())
        database.execute("DELETE FROM run")
        database.execute("DELETE FROM decision")
        at = database.execute("SELECT CAST(strftime('%s', 'now') AS INTEGER)").fetchone()[0] - 3600
        models = {"run": model, "build": _build(database), "decision": _decision()}
        for table, number in (("build", BUILDS), ("run", RUNS), ("decision", DECISIONS)):
            _insert(database, table, models[table], number, at)
        database.execute("INSERT INTO build_source (build_id, source_id) SELECT id, 1 + id % 1000 FROM build")
        database.execute("UPDATE job SET has_image = 1")


def _insert(database: sqlite3.Connection, table: str, model: dict[str, Any], number: int, now: int) -> None:
    """So many rows: what `ROWS` says of each column, and else what the model has."""
    made = ROWS[table]
    same = {name: value for name, value in model.items() if name not in made}
    names = [*made, *same]
    values = [*made.values(), *(f":{name}" for name in same)]
    database.execute(
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :all) "
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM numbers",
        {**same, "now": now, "all": number},
    )


def _build(database: sqlite3.Connection) -> dict[str, Any]:
    row = database.execute("SELECT url, build FROM source").fetchone()
    return {
        "url": row["url"],
        "config": row["build"],
        "env": "{}",
        "trigger": '{"type": "push"}',
        "sentence": "",
        "position": 1,
        "message": "Read the orders in one query",
        "author": "Ada",
        "token": 1,
        "tries": 1,
        "fetching": 0,
        "deaths": 0,
        "available_at": "2026-01-01 00:00:00.000000",
    }


def _decision() -> dict[str, Any]:
    return {
        "rule": "flags",
        "sentence": "Push of 9d1b990 to main has [skip ci] in a message.",
        "inputs": "{}",
    }
