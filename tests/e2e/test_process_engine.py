"""The whole path without a container engine: push, build, run and log as plain processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.engines.process.engine import NO_ISOLATION
from tests.support.hosted import HostedJob
from tests.support.processes import proc
from tests.support.project import ROOT
from tests.support.server import JobyardServer, jobyard_server
from tests.support.waiting import eventually

NOWHERE = "unix:///nowhere/docker.sock"  # whoever asks the container engine after all, fails
VALUE = "correct horse/battery+staple=7391"
OF_ANY_SHELL = {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"}
SLEEPS = "trap 'echo told to stop; exit 0' TERM; echo up; sleep 60 & wait"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    data = tmp_path_factory.mktemp("processes") / "data"
    with jobyard_server(data, engine="process", docker_host=NOWHERE) as server:
        yield server


@pytest.fixture
def job(server: JobyardServer, host: Callable[[JobyardServer], HostedJob]) -> HostedJob:
    return host(server)


def built_from(job: HostedJob, script: str, **fields: Any) -> Any:
    """The run that the first push of this shell script leads to, as soon as it is there."""
    job.job(**fields)
    build = job.server.built(job.push({"run.sh": script}))
    assert build["status"] == "succeeded", build
    return job.server.wait_for("a run", lambda: next(iter(job.runs()), None))


def speaks(job: HostedJob, run: Any) -> None:
    job.server.wait_for("the job speaks", lambda: "up\n" in job.server.log_of(run))


def test_the_server_says_that_there_is_no_isolation(server: JobyardServer) -> None:
    assert NO_ISOLATION in server.log


def test_a_push_builds_and_runs(job: HostedJob) -> None:
    job.job()
    program = "import os, tool\nprint(tool.NAME, os.environ['JOBYARD_GIT_SHA'], flush=True)\n"
    setup = "[project]\nname = 'tool'\nversion = '1'\n[project.scripts]\n"
    run = job.ran(job.push({"main.py": program, "tool.py": "NAME = 'hello'\n", "pyproject.toml": setup}))
    assert (run["status"], run["exit_code"]) == ("succeeded", 0)
    assert run["image"].startswith(f"process:{job.server.data}/process/images/")
    assert run["digest"].startswith("sha256:")
    assert job.server.log_of(run) == f"hello {run['sha']}\n"
    log = job.server.text(f"/builds/{run['build']}/logs")
    assert "without a container and without isolation" in log
    assert "/1] COPY . /app/" in log


def test_what_has_not_changed_is_not_built_again(job: HostedJob) -> None:
    job.job()
    first = job.ran(job.push({"run.sh": "cat note 2>/dev/null; echo left >note; pwd\n"}))
    second = job.ran(job.push({}))
    assert first["sha"] != second["sha"]
    assert (first["image"], first["digest"]) == (second["image"], second["digest"])
    assert "it is used again" in job.server.text(f"/builds/{second['build']}/logs")
    places = [job.server.log_of(run) for run in (first, second)]
    assert all(place.endswith("/work\n") for place in places)  # and no note of the first one
    assert len(set(places)) == 2


def test_a_dockerfile_needs_a_container_engine(job: HostedJob) -> None:
    job.job()
    build = job.server.built(job.push({"Dockerfile": "FROM busybox\n"}))
    assert (build["status"], build["reason"]) == ("failed", "build_failed")
    assert build["sentence"] == "A Dockerfile needs a container engine: set JOBYARD_ENGINE=docker."


def test_a_run_goes_on_when_its_server_is_killed(job: HostedJob, tmp_path: Path) -> None:
    count = "n=0; until test -e $GO; do n=$((n + 1)); echo $n; sleep 0.05; done; echo over; exit 5"
    run = built_from(job, f"echo up; {count}\n", env={"GO": f"{tmp_path}/go"})
    speaks(job, run)
    job.server.kill()
    job.server.start()
    (tmp_path / "go").touch()
    ended = job.server.over(f"/runs/{run['id']}")
    assert (ended["status"], ended["exit_code"], ended["attempts"]) == ("failed", 5, 1)
    lines = job.server.log_of(run).splitlines()
    assert lines == ["up", *map(str, range(1, len(lines) - 1)), "over"]
    containers = job.server.data / "process/containers"
    job.server.wait_for("its directory is removed", lambda: not list(containers.glob("[!.]*")))


def test_a_time_limit(job: HostedJob) -> None:
    run = job.server.over(f"/runs/{built_from(job, SLEEPS, time_limit_seconds=1, retry_limit=3)['id']}")
    assert (run["status"], run["reason"], run["attempts"]) == ("failed", "time_limit", 1)
    assert job.server.log_of(run) == "up\ntold to stop\n"


def test_cancel(job: HostedJob) -> None:
    run = built_from(job, SLEEPS, retry_limit=3)
    speaks(job, run)
    job.server.api("POST", f"/runs/{run['id']}/cancel")
    run = job.server.over(f"/runs/{run['id']}")
    assert (run["status"], run["reason"], run["attempts"]) == ("cancelled", "cancelled", 1)
    assert job.server.log_of(run) == "up\ntold to stop\n"


def test_a_cancelled_build_leaves_nothing(job: HostedJob) -> None:
    job.job(build={"build_command": "echo $$ >pid; echo be''gan; sleep 600 & wait"})
    push = job.push({"run.sh": "echo never\n"})
    job.server.settled(push)
    (build,) = job.builds()
    path = f"/builds/{build['id']}"
    job.server.wait_for("the build speaks", lambda: "began\n" in job.server.text(f"{path}/logs"))
    (file,) = (job.server.data / "process/images").glob("*/app/pid")
    shell = int(file.read_text())
    job.server.api("POST", f"{path}/cancel")
    assert job.server.over(path)["status"] == "cancelled"
    assert not file.parents[1].exists()
    eventually(lambda: not proc(shell, "cmdline"))
    assert [pid for pid in Path("/proc").glob("[0-9]*") if "600" in proc(int(pid.name), "cmdline")[1:2]] == []


def test_jobs_and_builds_see_their_own_variables_only(job: HostedJob) -> None:
    env = {"TOKEN": {"value": VALUE, "secret": True, "scope": "both"}, "PLAIN": "in the clear"}
    job.job(env=env, build={"build_command": "echo in the build: $TOKEN; env | cut -d= -f1 >names"})
    run = job.ran(job.push({"run.sh": "echo $TOKEN | wc -c; echo $TOKEN; env | cut -d= -f1\n"}))
    count, token, *names = job.server.log_of(run).splitlines()
    assert (int(count), token) == (len(VALUE) + 1, "***")
    assert "in the build: ***" in job.server.text(f"/builds/{run['build']}/logs")
    image = Path(run["image"].removeprefix("process:")).parent
    in_build = (image / "app/names").read_text().split()
    assert {"TOKEN", "JOBYARD_GIT_SHA"} <= set(names) & set(in_build)
    assert ("PLAIN" in names, "PLAIN" in in_build) == (True, False)
    of_server = {f"JOBYARD_{name.upper()}" for name in job.server.settings}
    for seen in (names, in_build):
        assert not of_server & set(seen)
        assert not {name for name in os.environ if name not in OF_ANY_SHELL} & set(seen)
    kept = [file for file in job.server.data.rglob("*") if file.is_file()]
    assert [file for file in kept if VALUE.encode() in file.read_bytes()] == []


def test_a_secret_of_one_run_is_none_of_another(job: HostedJob) -> None:
    job.job(command=["sh", "-c", "echo ${TOKEN-nothing}"])
    job.server.built(job.push({"run.sh": "true\n"}))
    first = job.server.over(f"/runs/{job.start(env={'TOKEN': 'only-for-this-one'})['id']}")
    second = job.server.over(f"/runs/{job.start()['id']}")
    assert [job.server.log_of(run) for run in (first, second)] == ["only-for-this-one\n", "nothing\n"]


def test_the_demo_falls_back_where_no_engine_can_be_had() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    demo = subprocess.Popen(
        [ROOT / "scripts/demo", "--exit"],
        env={**env, "JOBYARD_DOCKER_HOST": NOWHERE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = demo.communicate(timeout=280)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
    assert demo.returncode == 0, said
    (fallback,) = [line for line in said.splitlines() if "Falling back" in line]
    assert fallback.startswith("No container engine can be had here")
    assert "JOBYARD_ENGINE=process" in fallback
    assert "working: step 5 of 5" in said
    assert NO_ISOLATION in said


def test_the_key_of_secrets_is_rotated_beside_a_server_that_goes_on(job: HostedJob) -> None:
    first = {"value": "from-before", "secret": True}
    job.job(env={"FIRST": first})
    job.server.built(job.push({"run.sh": "echo $FIRST-$SECOND | tr a-z A-Z"}))
    rotated = json.loads(job.server.command("admin", "rotate-key", "--json"))
    assert (rotated["over"], rotated["unopened"]) == (True, [])
    assert rotated["resealed"]["job"] >= 1
    env = {"FIRST": {"secret": True}, "SECOND": {"value": "from-after", "secret": True}}
    job.server.api("PATCH", job.path, {"env": env})
    run = job.ran(job.push({"again": ""}))
    assert job.server.log_of(run).endswith("FROM-BEFORE-FROM-AFTER\n")
    job.server.restart()
    rerun = job.server.api("POST", f"/runs/{run['id']}/rerun", {"config": "same"})
    assert job.server.over(f"/runs/{rerun['id']}")["status"] == "succeeded"
