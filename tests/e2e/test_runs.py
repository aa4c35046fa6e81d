"""Runs of real containers: time limit, retries, cancel, overrides."""

from typing import Any

import pytest

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer

IMAGE = {"source": {"type": "image", "image": "busybox:latest"}}
SLEEPS = ["sh", "-c", "trap 'echo told to stop; exit 0' TERM; echo up; sleep 60 & wait"]
DEAF = ["sh", "-c", "trap '' TERM; echo up; while true; do sleep 0.1; done"]


@pytest.fixture
def run_of(jobyard: JobyardServer, hosted: HostedJob) -> Any:
    """A run of a job with an image of its own, and these fields."""

    def start(command: list[str], **fields: Any) -> Any:
        hosted.job(**IMAGE, command=command, **fields)
        return hosted.start()

    return start


def speaks(jobyard: JobyardServer, run: Any) -> None:
    jobyard.wait_for("the job speaks", lambda: "up\n" in jobyard.log_of(run))


def test_the_exit_code_decides(jobyard: JobyardServer, run_of: Any) -> None:
    run = jobyard.over(f"/runs/{run_of(['sh', '-c', 'echo no >&2; exit 3'])['id']}")
    assert (run["status"], run["reason"], run["exit_code"]) == ("failed", "exit_nonzero", 3)
    assert run["sentence"].startswith("Exited with code 3")
    assert jobyard.log_of(run) == "no\n"


def test_a_time_limit_ends_a_run_even_if_it_exits_well(jobyard: JobyardServer, run_of: Any) -> None:
    run = jobyard.over(f"/runs/{run_of(SLEEPS, time_limit_seconds=1, retry_limit=3)['id']}")
    assert (run["status"], run["reason"], run["attempts"]) == ("failed", "time_limit", 1)
    assert (run["succeeded"], run["failed"], run["active"]) == (0, 1, 0)
    (attempt,) = jobyard.api("GET", f"/runs/{run['id']}/attempts")["items"]
    assert (attempt["status"], attempt["reason"], attempt["exit_code"]) == ("failed", "time_limit", 0)
    assert jobyard.log_of(run) == "up\ntold to stop\n"
    assert 1.0 <= run["duration_seconds"] < 10


def test_a_deaf_job_is_killed_after_its_grace_period(jobyard: JobyardServer, run_of: Any) -> None:
    run = run_of(DEAF, grace_period_seconds=1)
    speaks(jobyard, run)
    jobyard.api("POST", f"/runs/{run['id']}/cancel")
    run = jobyard.over(f"/runs/{run['id']}")
    assert (run["status"], run["reason"]) == ("cancelled", "cancelled")
    assert 1.0 <= run["duration_seconds"] < 20


def test_cancel(jobyard: JobyardServer, run_of: Any) -> None:
    run = run_of(SLEEPS, retry_limit=3)
    speaks(jobyard, run)
    jobyard.api("POST", f"/runs/{run['id']}/cancel")
    run = jobyard.over(f"/runs/{run['id']}")
    assert (run["status"], run["reason"], run["attempts"]) == ("cancelled", "cancelled", 1)
    assert jobyard.log_of(run) == "up\ntold to stop\n"
    assert (run["succeeded"], run["failed"], run["active"]) == (0, 0, 0)
    (attempt,) = jobyard.api("GET", f"/runs/{run['id']}/attempts")["items"]
    assert (attempt["status"], attempt["reason"]) == ("cancelled", "cancelled")
    assert jobyard.request("POST", f"/runs/{run['id']}/cancel").status_code == 409


def test_retries_are_attempts_with_a_log_each(jobyard: JobyardServer, run_of: Any) -> None:
    command = ["sh", "-c", "echo attempt $JOBYARD_ATTEMPT; [ $JOBYARD_ATTEMPT = 3 ]"]
    run = jobyard.over(f"/runs/{run_of(command, retry_limit=5, retry_backoff='none')['id']}")
    assert (run["status"], run["attempts"], run["failed"], run["succeeded"]) == ("succeeded", 3, 2, 1)
    assert jobyard.log_of(run) == "attempt 1\nattempt 2\nattempt 3\n"
    attempts = jobyard.api("GET", f"/runs/{run['id']}/attempts")["items"]
    assert [(each["number"], each["exit_code"]) for each in attempts] == [(3, 0), (2, 1), (1, 1)]
    for number in (1, 2, 3):
        assert jobyard.text(f"/runs/{run['id']}/logs?attempt={number}") == f"attempt {number}\n"


def test_retries_end(jobyard: JobyardServer, run_of: Any) -> None:
    run = jobyard.over(f"/runs/{run_of(['false'], retry_limit=1, retry_backoff='none')['id']}")
    assert (run["status"], run["attempts"], run["failed"]) == ("failed", 2, 2)


def test_overrides_are_for_one_run_only(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job(**IMAGE, command=["sh", "-c", "echo $WHO $MODE"], env={"WHO": "ada", "MODE": "daily"})
    changed = hosted.start(env={"WHO": "bob", "MODE": None})
    assert jobyard.log_of(jobyard.over(f"/runs/{changed['id']}")) == "bob\n"
    assert jobyard.log_of(jobyard.over(f"/runs/{hosted.start()['id']}")) == "ada daily\n"


def test_a_registry_that_does_not_answer_is_waited_for_with_the_reason(
    jobyard: JobyardServer, hosted: HostedJob
) -> None:
    hosted.job(source={"type": "image", "image": "127.0.0.1:9/nobody/nothing:1"})
    path = f"/runs/{hosted.start()['id']}"
    jobyard.wait_for("it says why it waits", lambda: jobyard.api("GET", path)["sentence"])
    run = jobyard.api("GET", path)
    assert run["status"] == "queued"
    assert "The registry of 127.0.0.1:9/nobody/nothing:1 refuses the connection" in run["sentence"]
    jobyard.api("POST", f"{path}/cancel")
    assert jobyard.over(path)["status"] == "cancelled"


def test_a_program_that_is_not_in_the_image(jobyard: JobyardServer, run_of: Any) -> None:
    run = jobyard.over(f"/runs/{run_of(['no-such-program'])['id']}")
    assert (run["status"], run["exit_code"]) == ("failed", 127)
    assert "no-such-program" in jobyard.log_of(run)


def test_lines_of_instances_and_streams_come_whole(jobyard: JobyardServer, run_of: Any) -> None:
    """However small the pieces in which they are written."""
    words = "printf 'used '; printf '%s of ' $n >&2; printf $n; echo 60 >&2; echo ' MiB'"
    loop = f"for n in $(seq 60); do {words}; done"
    run = jobyard.over(f"/runs/{run_of(['sh', '-c', loop], instances=4)['id']}")
    assert run["status"] == "succeeded"
    lines = jobyard.log_of(run).splitlines()
    assert sorted(lines) == sorted(
        [f"used {n} MiB" for n in range(1, 61)] * 4 + [f"{n} of 60" for n in range(1, 61)] * 4
    )
    of_one = jobyard.text(f"/runs/{run['id']}/logs?instance=3&stream=stderr")
    assert of_one == "".join(f"{n} of 60\n" for n in range(1, 61))
