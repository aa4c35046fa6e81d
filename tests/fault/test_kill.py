"""The server is killed (SIGKILL) at moments that are observed, not timed, and started again: nothing is lost, nothing
happens twice, logs are whole and exit codes right. SIGTERM leaves containers alone.

What really ran is taken from the engine's own events, not from what the server says.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.domain.crashes import SUSPECTED_AFTER
from tests.support.engine_events import EngineEvents, engine_events
from tests.support.git_server import git_server
from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, Push, docker_client, jobyard_server

LINES = 50
COUNTING = f"echo begin; i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 7"
WHOLE = "begin\n" + "".join(f"line {number}\n" for number in range(LINES))
DOCKERFILE = f"""\
FROM busybox:latest
COPY unique /unique
RUN for i in 0 1 2 3 4 5 6 7 8 9; do echo building $i; sleep 0.1; done
CMD ["sh", "-c", "{COUNTING}"]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def events(server: JobyardServer) -> Iterator[EngineEvents]:
    with engine_events(server.installation) as events:
        yield events


@pytest.fixture
def hosted(server: JobyardServer, tmp_path: Path) -> Iterator[HostedJob]:
    root = tmp_path / "forge/acme"
    root.mkdir(parents=True)
    with git_server(root.parent) as forge:
        yield HostedJob(server, forge, root, "report")


def push(hosted: HostedJob) -> Push:
    """A push whose build was never made before."""
    return hosted.push({"Dockerfile": DOCKERFILE, "unique": str(time.time_ns())})


def image_job(hosted: HostedJob, shell: str, **fields: Any) -> Any:
    """A run of this shell script, without a build before it."""
    source = {"type": "image", "image": "busybox:latest"}
    hosted.job(source=source, command=["sh", "-c", shell], **fields)
    return hosted.start()


def wait_for_line(hosted: HostedJob, line: str) -> None:
    server = hosted.server
    server.wait_for(line, lambda: any(f"{line}\n" in server.log_of(run) for run in hosted.runs()))


def build_says(text: str) -> Callable[[HostedJob, EngineEvents], None]:
    def wait(hosted: HostedJob, _events: EngineEvents) -> None:
        server = hosted.server
        server.wait_for(
            text, lambda: any(text in server.text(f"/builds/{b['id']}/logs") for b in hosted.builds())
        )

    return wait


def build_is(status: str) -> Callable[[HostedJob, EngineEvents], None]:
    def wait(hosted: HostedJob, _events: EngineEvents) -> None:
        hosted.server.wait_for(status, lambda: any(each["status"] == status for each in hosted.builds()))

    return wait


def container_has(event: str) -> Callable[[HostedJob, EngineEvents], None]:
    return lambda _hosted, events: events.wait_for(event) and None


def run_says(line: str) -> Callable[[HostedJob, EngineEvents], None]:
    return lambda hosted, _events: wait_for_line(hosted, line)


MOMENTS = {
    "the delivery is accepted": lambda _hosted, _events: None,
    "the build has begun": build_is("running"),
    "the build is half done": build_says("building 5"),
    "the build has succeeded": build_is("succeeded"),
    "the container is created": container_has("create"),
    "the container is started": container_has("start"),
    "the job has said its first line": run_says("begin"),
    "the job is half done": run_says(f"line {LINES // 2}"),
    "the job has ended": container_has("die"),
    "the container is removed": container_has("destroy"),
}


def assert_done_once(hosted: HostedJob, events: EngineEvents, sent: Push) -> None:
    server = hosted.server
    run = hosted.ran(sent)
    assert (run["status"], run["reason"], run["exit_code"]) == ("failed", "exit_nonzero", 7), run
    assert run["attempts"] == 1
    assert server.log_of(run) == WHOLE
    assert len(hosted.runs()) == len(hosted.builds()) == 1
    assert [each["verdict"] for each in server.decisions(sent)] == ["built"]
    assert len([each for each in server.items("/decisions") if each["run"] == run["id"]]) == 1
    assert len(events.of("start")) == 1
    assert_clean(server)


def assert_clean(server: JobyardServer) -> None:
    with docker_client() as client:
        server.wait_for("all containers are removed", lambda: not server.containers(client))


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_when(moment: str, hosted: HostedJob, events: EngineEvents) -> None:
    hosted.job()
    sent = push(hosted)
    MOMENTS[moment](hosted, events)
    hosted.server.kill()
    hosted.server.start()
    assert_done_once(hosted, events, sent)


def test_killed_again_and_again_in_one_push(hosted: HostedJob, events: EngineEvents) -> None:
    hosted.job()
    sent = push(hosted)
    for moment in ("the build is half done", "the container is started", "the job is half done"):
        MOMENTS[moment](hosted, events)
        hosted.server.kill()
        hosted.server.start()
    assert_done_once(hosted, events, sent)


def test_a_build_that_is_under_way_at_many_kills_is_not_given_up(
    hosted: HostedJob, events: EngineEvents
) -> None:
    """From the third on it waits until the server has stayed up for a while: only then is it in hand again."""
    hosted.job()
    sent, server = push(hosted), hosted.server

    def half_done(times: int) -> bool:
        return any(
            server.text(f"/builds/{build['id']}/logs").count("building 5") >= times
            for build in hosted.builds()
        )

    for number in range(SUSPECTED_AFTER):
        server.wait_for("the build is half done again", partial(half_done, number + 1))
        server.kill()
        server.start()
    server.wait_for(
        "it waits", lambda: "killed, or failed, 3 times during this build" in hosted.builds()[0]["sentence"]
    )
    server.kill()
    server.start()
    assert_done_once(hosted, events, sent)


def test_secrets_and_logins_of_a_build_are_gone_after_the_next_start(
    hosted: HostedJob, events: EngineEvents
) -> None:
    secret = f"a secret of the build {time.time_ns()}"
    login = {"name": "r", "kind": "registry", "host": "r.example.com", "username": "u", "secret": secret}
    hosted.job(env={"NPM_TOKEN": {"value": secret, "secret": True, "scope": "build"}})
    hosted.server.api("POST", "/projects/acme/credentials", login)
    push(hosted)
    MOMENTS["the build is half done"](hosted, events)
    held = [
        file for file in Path("/dev/shm").glob("jobyard-private-*/secrets/NPM_TOKEN") if says(file, secret)
    ]
    assert len(held) == 1
    hosted.server.kill()
    assert says(held[0], secret)
    assert (held[0].parents[1] / "config/config.json").exists()
    hosted.server.start()
    assert not held[0].parents[1].exists()


def says(file: Path, text: str) -> bool:
    """Other tests' files may go at any time."""
    try:
        return file.read_text() == text
    except FileNotFoundError:
        return False


def test_a_job_that_ends_while_no_server_runs(hosted: HostedJob, events: EngineEvents) -> None:
    hosted.job()
    sent = push(hosted)
    wait_for_line(hosted, "line 3")
    hosted.server.kill()
    events.wait_for("die")
    hosted.server.start()
    assert_done_once(hosted, events, sent)


def test_output_in_a_flood(hosted: HostedJob, events: EngineEvents) -> None:
    """Many lines a millisecond, so that the kill falls between lines with the same time, or within one."""
    run = image_job(hosted, "i=0; while [ $i -lt 100000 ]; do echo line $i; i=$((i+1)); done")
    wait_for_line(hosted, "line 2000")
    hosted.server.kill()
    hosted.server.start()
    run = hosted.server.over(f"/runs/{run['id']}")
    found = hosted.server.log_of(run).splitlines()
    assert first_difference(found, [f"line {number}" for number in range(100_000)]) is None
    assert (run["status"], len(events.of("start"))) == ("succeeded", 1)


def first_difference(found: list[str], wanted: list[str]) -> str | None:
    """Where two logs part: small enough to read."""
    for number, (is_, should) in enumerate(zip(found, wanted, strict=False)):
        if is_ != should:
            around = slice(max(number - 2, 0), number + 3)
            return f"line {number} of {len(found)}: {found[around]} instead of {wanted[around]}"
    return None if len(found) == len(wanted) else f"{len(found)} lines instead of {len(wanted)}"


def test_the_deadline_stays_where_it_was(hosted: HostedJob, events: EngineEvents) -> None:
    """Most of the limit passes without a server: a deadline counted anew would be a whole limit later."""
    limit, server = timedelta(seconds=10), hosted.server
    run = image_job(hosted, "echo up; sleep 60", time_limit_seconds=10, grace_period_seconds=1)
    wait_for_line(hosted, "up")
    server.wait_for("its start is stored", lambda: server.api("GET", f"/runs/{run['id']}")["started_at"])
    before = server.api("GET", f"/runs/{run['id']}")
    server.kill()
    deadline = datetime.fromisoformat(before["started_at"]) + limit
    server.wait_for("most of the limit passed", lambda: datetime.now(UTC) > deadline - limit / 5)
    server.start()
    up_at = datetime.now(UTC)
    after = server.over(f"/runs/{run['id']}")
    assert (after["status"], after["reason"]) == ("failed", "time_limit")
    assert after["started_at"] == before["started_at"]
    finished_at = datetime.fromisoformat(after["finished_at"])
    assert deadline <= finished_at < max(deadline, up_at) + limit * 0.7
    assert server.log_of(after) == "up\n"
    assert len(events.of("start")) == 1
    assert_clean(server)


def test_a_deadline_that_passed_while_no_server_ran(hosted: HostedJob, events: EngineEvents) -> None:
    """The job goes on meanwhile, and is stopped at once afterwards, though it would have exited well."""
    run = image_job(hosted, "echo up; trap 'exit 0' TERM; sleep 60 & wait", time_limit_seconds=1)
    events.wait_for("start")
    hosted.server.kill()
    hosted.server.start()
    after = hosted.server.over(f"/runs/{run['id']}")
    assert (after["status"], after["reason"]) == ("failed", "time_limit")
    assert len(events.of("start")) == 1


def test_a_retry_that_waits_is_neither_lost_nor_doubled(hosted: HostedJob, events: EngineEvents) -> None:
    run = image_job(hosted, "echo attempt $JOBYARD_ATTEMPT; [ $JOBYARD_ATTEMPT = 2 ]", retry_limit=3)
    server = hosted.server
    server.wait_for("it waits", lambda: server.api("GET", f"/runs/{run['id']}")["failed"] == 1)
    server.kill()
    server.start()
    after = server.over(f"/runs/{run['id']}")
    assert (after["status"], after["attempts"]) == ("succeeded", 2)
    assert server.log_of(after) == "attempt 1\nattempt 2\n"
    assert len(events.of("start")) == 2


def test_a_cancel_is_not_forgotten(hosted: HostedJob, events: EngineEvents) -> None:
    run = image_job(hosted, "echo up; sleep 60", grace_period_seconds=2)
    wait_for_line(hosted, "up")
    hosted.server.api("POST", f"/runs/{run['id']}/cancel")
    hosted.server.kill()
    hosted.server.start()
    assert hosted.server.over(f"/runs/{run['id']}")["status"] == "cancelled"
    assert len(events.of("start")) == 1
    assert_clean(hosted.server)


def test_told_to_stop_it_leaves_containers_alone(hosted: HostedJob, events: EngineEvents) -> None:
    hosted.job()
    sent = push(hosted)
    wait_for_line(hosted, "line 2")
    assert hosted.server.stop() <= 15
    assert events.of("kill") == events.of("die") == []
    hosted.server.start()
    assert_done_once(hosted, events, sent)


def test_told_to_stop_during_a_build(hosted: HostedJob, events: EngineEvents) -> None:
    hosted.job()
    sent = push(hosted)
    MOMENTS["the build is half done"](hosted, events)
    assert hosted.server.stop() <= 15
    hosted.server.start()
    assert_done_once(hosted, events, sent)
