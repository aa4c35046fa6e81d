"""A repository with `jobyard.yaml` and what it runs: one push makes its job, builds, runs and schedules it."""

from __future__ import annotations

from pathlib import Path

from tests.support.git_server import git_server
from tests.support.repositories import Repository
from tests.support.server import jobyard_server

FILE = """
jobs:
- name: nightly
  kind: cron
  schedule: {cron: "30 2 * * *", time_zone: Europe/Berlin}
  run_on_image_change: cd-promote
  process: worker
  env: {GREETING: hello}
"""
SECRET = "a long secret of hooks"


def test_a_first_push_is_built_run_and_scheduled(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "served" / "report")
    with (
        git_server(tmp_path / "served") as served,
        jobyard_server(tmp_path / "data", engine="process") as server,
    ):
        git = {"url": served.url("report"), "webhook_secret": SECRET}
        service = {"name": "report", "git": git, "config_file": True}
        server.api(
            "POST",
            "/apply",
            {"documents": [{"project": "acme", "settings": {}, "build_services": [service]}]},
        )
        head = repository.commit({"Procfile": "worker: echo $GREETING\n", "jobyard.yaml": FILE})
        server.settled(server.push(repository, url=git["url"], secret=SECRET))
        [job] = server.items("/projects/acme/jobs")
        assert job["from_file"]["fields"][-1] == "env.GREETING"
        assert job["next_fire_at"] is not None
        [run] = server.wait_for("the run", lambda: server.runs("nightly"))
        over = server.over(f"/runs/{run['id']}")
        assert (over["status"], over["sha"]) == ("succeeded", head)
        assert server.log_of(over).endswith("hello\n")
