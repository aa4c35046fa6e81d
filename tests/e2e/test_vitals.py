"""Health checks, metrics, instances and hard ends of real containers."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, jobyard_server

IMAGE = {"source": {"type": "image", "image": "busybox:latest"}}
# Fails its check in the first attempt, and ends well in the second.
SERVES_NOTHING = ["sh", "-c", "[ $JOBYARD_ATTEMPT = 2 ] || sleep 60"]
DEAF = ["sh", "-c", "trap '' TERM; echo up; while true; do sleep 0.1; done"]
BUSY = ["sh", "-c", "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done"]
GREEDY = ["sh", "-c", "x=0123456789; while true; do x=$x$x; done"]


@pytest.fixture
def run_of(hosted: HostedJob) -> Any:
    """A run of a job with an image of its own, and these fields."""

    def start(command: list[str], **fields: Any) -> Any:
        hosted.job(**IMAGE, command=command, **fields)
        return hosted.start()

    return start


def speaks(jobyard: JobyardServer, run: Any) -> None:
    jobyard.wait_for("the job speaks", lambda: "up\n" in jobyard.log_of(run))


def check(**fields: Any) -> list[Any]:
    quick = {"type": "liveness", "initial_delay_seconds": 1, "timeout_seconds": 2, "failure_threshold": 1}
    return [{**quick, **fields}]


@pytest.mark.parametrize(
    ("given", "asks"),
    [
        ({"protocol": "tcp", "port": 8080}, "a connection to port 8080"),
        ({"protocol": "http", "port": 8080, "path": "/up"}, "GET /up at port 8080"),
        ({"protocol": "cmd", "cmd": "test -f /up"}, "the command 'test -f /up'"),
        ({"protocol": "cmd", "cmd": "test -f /up", "type": "startup"}, "the command 'test -f /up'"),
    ],
)
def test_a_failed_check_ends_the_attempt_and_it_is_tried_again(
    jobyard: JobyardServer, run_of: Any, given: Any, asks: str
) -> None:
    fields = {"retry_limit": 1, "retry_backoff": "none", "grace_period_seconds": 1}
    run = run_of(SERVES_NOTHING, health_checks=check(**given), **fields)
    run = jobyard.over(f"/runs/{run['id']}")
    assert (run["status"], run["attempts"]) == ("succeeded", 2)
    _, first = jobyard.api("GET", f"/runs/{run['id']}/attempts")["items"]
    assert first["reason"] == "unhealthy"
    type_ = given.get("type", "liveness")
    assert first["sentence"].startswith(f"The {type_} check ({asks}) failed once, at last with: ")
    ((health,),) = [each["health"] for each in first["containers"]]
    assert (health["type"], health["asks"], health["status"], health["failures"]) == (
        type_,
        asks,
        "failing",
        1,
    )
    (result,) = health["results"]
    assert not result["passed"]
    assert result["answer"] in first["sentence"]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"protocol": "tcp", "port": 8080}, "accepted"),
        ({"protocol": "http", "port": 8080, "path": "/"}, "status 200"),
        ({"protocol": "cmd", "cmd": ["sh", "-c", "[ $JOBYARD_INSTANCES = 1 ]"]}, "exit code 0"),
    ],
)
def test_a_check_that_passes(jobyard: JobyardServer, run_of: Any, given: Any, answer: str) -> None:
    serve = "echo hello >/tmp/index.html; httpd -f -p 8080 -h /tmp & sleep 4"
    run = run_of(["sh", "-c", serve], health_checks=check(**given))
    run = jobyard.over(f"/runs/{run['id']}")
    (attempt,) = jobyard.api("GET", f"/runs/{run['id']}/attempts")["items"]
    (health,) = attempt["containers"][0]["health"]
    assert [(each["passed"], each["answer"]) for each in health["results"]] == [(True, answer)]
    assert (run["status"], health["status"]) == ("succeeded", "passing")


def test_metrics_of_a_busy_run(jobyard: JobyardServer, run_of: Any) -> None:
    run = jobyard.over(f"/runs/{run_of(BUSY, plan='medium')['id']}")
    found = jobyard.api("GET", f"/runs/{run['id']}/metrics?attempt=1")
    (attempt,) = found["attempts"]
    assert (attempt["number"], attempt["limits"]) == (1, {"cpus": 1.0, "memory_bytes": 1 << 30})
    (instance,) = attempt["instances"]
    samples = instance["samples"]
    assert len(samples) >= 2
    assert samples == sorted(samples, key=lambda each: each["at"])
    assert 0.1 < max(each["cpu_cores"] for each in samples) < 1.5
    assert all(0 < each["memory_bytes"] < 1 << 30 and each["processes"] >= 1 for each in samples)
    assert jobyard.api("GET", f"/runs/{run['id']}/metrics") == found
    assert jobyard.request("GET", f"/runs/{run['id']}/metrics?attempt=2").status_code == 404


def test_instances_are_told_which_they_are(jobyard: JobyardServer, run_of: Any) -> None:
    command = "echo $JOBYARD_INSTANCE_INDEX of $JOBYARD_INSTANCES"
    run = jobyard.over(f"/runs/{run_of(['sh', '-c', command], instances=3)['id']}")
    assert run["status"] == "succeeded"
    assert sorted(jobyard.log_of(run).splitlines()) == ["0 of 3", "1 of 3", "2 of 3"]


def test_one_failing_instance_stops_the_others_and_speaks_for_the_attempt(
    jobyard: JobyardServer, run_of: Any
) -> None:
    command = "[ $JOBYARD_INSTANCE_INDEX = 1 ] && exit 7; exec sleep 60"
    run = jobyard.over(f"/runs/{run_of(['sh', '-c', command], instances=3, grace_period_seconds=1)['id']}")
    assert (run["status"], run["reason"], run["exit_code"]) == ("failed", "exit_nonzero", 7)
    assert run["sentence"].startswith("Exited with code 7")
    assert run["duration_seconds"] < 50
    (attempt,) = jobyard.api("GET", f"/runs/{run['id']}/attempts")["items"]
    codes = [each["exit_code"] for each in attempt["containers"]]
    assert codes[1] == 7
    assert {codes[0], codes[2]} <= {137, 143}, "stopped by a signal"


def test_more_memory_than_the_plan_has(jobyard: JobyardServer, run_of: Any) -> None:
    run = jobyard.over(f"/runs/{run_of(GREEDY, plan='micro')['id']}")
    assert (run["status"], run["reason"], run["exit_code"]) == ("failed", "out_of_memory", 137)
    assert run["sentence"].startswith("Killed for using more memory than the plan has")


def test_a_server_with_instances_stops_and_goes_on_with_them(tmp_path: Path) -> None:
    with jobyard_server(tmp_path / "data") as server:
        command = ["sh", "-c", "echo up; sleep 20"]
        server.make_job("pair", "", **IMAGE, command=command, instances=2)
        run = server.api("POST", "/projects/acme/jobs/pair/runs", {})
        server.wait_for("both speak", lambda: server.log_of(run) == "up\nup\n")
        assert server.stop() < 10
        server.start()
        run = server.over(f"/runs/{run['id']}")
        assert (run["status"], run["attempts"]) == ("succeeded", 1)


def test_a_second_cancel_kills_at_once(jobyard: JobyardServer, run_of: Any) -> None:
    run = run_of(DEAF, grace_period_seconds=600)
    speaks(jobyard, run)
    path = f"/runs/{run['id']}"
    first = jobyard.request("POST", f"{path}/cancel")
    assert (first.status_code, first.json()["status"]) == (202, "running")
    assert first.json()["cancel_forced_at"] is None
    second = jobyard.request("POST", f"{path}/cancel")
    assert second.status_code == 202
    assert second.json()["cancel_forced_at"] is not None
    run = jobyard.over(path)
    assert (run["status"], run["reason"]) == ("cancelled", "cancelled")
    assert "Forced by" in run["sentence"]
    assert run["duration_seconds"] < 60
    assert jobyard.request("POST", f"{path}/cancel").status_code == 409
