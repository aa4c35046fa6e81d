"""Fifty Git servers that don't answer hold up no build of their own project's other repositories."""

from __future__ import annotations

from pathlib import Path

from tests.support.git_server import git_server
from tests.support.repositories import Repository
from tests.support.server import jobyard_server

DEAD = 50


def test_dead_git_servers_hold_up_no_other_repository_of_their_project(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "served" / "sound")
    repository.commit({"Procfile": "worker: echo reported\n"})
    (tmp_path / "silent").mkdir()
    with (
        git_server(tmp_path / "served") as served,
        git_server(tmp_path / "silent") as silent,
        jobyard_server(tmp_path / "data", engine="process") as server,
    ):
        silent.mode = "hang"
        for number in range(DEAD):
            server.make_job(f"dead-{number}", silent.url(f"dead-{number}"))
        server.make_job("sound", served.url("sound"))
        for number in range(DEAD):
            server.api("POST", f"/projects/acme/jobs/dead-{number}/builds")
        server.api("POST", "/projects/acme/jobs/sound/builds")
        [build] = server.builds("sound")
        build = server.over(f"/builds/{build['id']}")
        assert build["status"] == "succeeded"
        # Not because their turn was over: they are all still asked, for the first time.
        assert [each["status"] for each in server.builds("dead-0")] == ["running"]
        assert [each["status"] for each in server.builds(f"dead-{DEAD - 1}")] == ["running"]
