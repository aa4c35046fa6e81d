"""A push that no hook told of, from a real Git server over HTTP to a run of the real server."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.git_server import git_server
from tests.support.repositories import Repository
from tests.support.server import jobyard_server


def test_a_push_that_was_made_while_the_server_was_down_is_built_and_run_at_its_start(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "served" / "report")
    first = repository.commit({"Procfile": "worker: echo reported\n"})
    with (
        git_server(tmp_path / "served") as served,
        jobyard_server(tmp_path / "data", engine="process", reconcile_minutes="10") as server,
    ):
        server.make_job("report", served.url("report"))
        database = tmp_path / "data" / "jobyard.db"

        def known() -> list[tuple[str]]:
            with closing(sqlite3.connect(database)) as opened:
                return opened.execute("SELECT head FROM comparison").fetchall()

        server.wait_for("the branch is looked at", known)
        assert known() == [(first,)]
        server.stop()
        head = repository.commit({"Procfile": "worker: echo reported again\n"}, "Report again")
        with closing(sqlite3.connect(database)) as opened, opened:  # as if a look had been taken a while ago
            opened.execute(
                "UPDATE comparison SET found = ?, found_at = '2026-01-31 12:00:00.000000'", (head,)
            )
        server.start()
        [run] = server.wait_for("the run", server.runs)
        run = server.over(f"/runs/{run['id']}")
        assert (run["status"], run["sha"]) == ("succeeded", head)
        [delivery] = server.items("/deliveries")
        assert (delivery["forge"], delivery["event"], delivery["sha"]) == ("remote", "reconciliation", head)
        [decision] = server.api("GET", f"/deliveries/{delivery['id']}")["decisions"]
        assert decision["rule"] == "missed_push"
        assert "Found by comparing with the remote at" in decision["sentence"]
