"""A backup is restored while the time after it goes on in the engine: in the containers of a dead server, or beside a
living one. What either of the two timelines tells is its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import JobyardServer, Json, docker_client, jobyard_server

UNTIL_STOPPED = "echo OLD; trap 'echo ENDED; exit 0' TERM; while true; do sleep 0.1; done"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path / "live") as server:
        yield server


def started(server: JobyardServer, job: str, shell: str) -> Json:
    """A run of a new job, which has said its first word."""
    source = {"type": "image", "image": "busybox:latest"}
    server.make_job(job, "", source=source, command=["sh", "-c", shell])
    run = server.api("POST", f"/projects/acme/jobs/{job}/runs", {})
    server.wait_for(f"{job} speaks", lambda: server.log_of(run))
    return run


def container_of(server: JobyardServer, run: Json) -> str:
    with docker_client() as client:
        found = server.wait_for(
            "a container",
            lambda: client.containers(filters={"label": f"jobyard.run={run['name']}"}),
        )
        return str(found[0]["Names"][0].lstrip("/"))


@pytest.mark.parametrize("live_is", ["beside", "dead"])
def test_no_timeline_takes_a_container_of_the_others(
    live: JobyardServer, tmp_path: Path, live_is: str
) -> None:
    before = started(live, "before", UNTIL_STOPPED)
    live.command("backup", tmp_path / "backup.tar")
    since = started(live, "okjob", UNTIL_STOPPED)
    names = {run["id"]: container_of(live, run) for run in (before, since)}
    if live_is == "dead":
        live.kill()

    copy = JobyardServer(tmp_path / "copy")
    try:
        said = json.loads(copy.command("restore", tmp_path / "backup.tar", "--json"))
        found = {each["name"]: (each["state"], each["job"], each["run"]) for each in said["containers"]}
        assert found == {
            names[before["id"]]: ("running", "before", before["name"]),
            names[since["id"]]: ("running", "okjob", since["name"]),
        }
        copy.start()
        again = copy.over(f"/runs/{before['id']}")
        assert (again["status"], again["reason"]) == ("failed", "interrupted")
        assert f"its container {names[before['id']]} is left alone" in again["sentence"]
        new = started(copy, "badjob", "echo NEW; exit 9")
        assert new["id"] == since["id"]
        new = copy.over(f"/runs/{new['id']}")
        assert (new["status"], new["reason"], new["exit_code"]) == ("failed", "exit_nonzero", 9)
        assert copy.log_of(new) == "NEW\n"
        beside = started(copy, "stays", UNTIL_STOPPED)
        if live_is == "dead":
            live.start()
        assert_ends_by_itself(live, before, since)
        copy.api("POST", f"/runs/{beside['id']}/cancel", {})
        assert copy.over(f"/runs/{beside['id']}")["status"] == "cancelled"
        assert copy.log_of(beside) == "OLD\nENDED\n"
    finally:
        copy.close()


def assert_ends_by_itself(server: JobyardServer, *runs: Json) -> None:
    """Its containers are alive, and it alone can end them."""
    for run in runs:
        server.api("POST", f"/runs/{run['id']}/cancel", {})
        assert server.over(f"/runs/{run['id']}")["status"] == "cancelled"
        assert server.log_of(run) == "OLD\nENDED\n"
