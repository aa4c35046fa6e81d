"""Two real servers on one PostgreSQL, one engine and one bucket: each shows and goes on with what the other does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser import browsing, visitor
from tests.support.databases import running_postgres
from tests.support.payloads import encode, push_headers
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, s3_server
from tests.support.server import SECRET, TOKEN, JobyardServer, docker_client, jobyard_server
from tests.support.waiting import eventually

URL = "http://git.example.com/acme/report.git"
KEY = "the key of secrets of both servers"
LATE_SECONDS = 1.0  # a page may be
BUSY_SECONDS = 1.5  # more, on a machine that does much else
TAKEN_OVER_SECONDS = 120.0
NUMBERS = count(1)
Json = Any


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[JobyardServer, JobyardServer]]:
    root = tmp_path_factory.mktemp("several")
    with (
        running_postgres() as cluster,
        s3_server(root / "s3") as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }.items():
            patch.setenv(name, value)
        settings = {
            "database_url": cluster.create("template0"),
            "secret_key": KEY,
            "log_store": "s3://backups/logs",
        }
        with (
            jobyard_server(root / "one", **settings) as one,
            jobyard_server(root / "two", **settings) as other,
        ):
            yield one, other


def begin(server: JobyardServer, script: str, **fields: Any) -> Json:
    """A run of a new job that prints what the script does."""
    name = f"job-{next(NUMBERS)}"
    source = {"type": "image", "image": "busybox:latest"}
    server.make_job(name, "", source=source, command=["sh", "-c", script], grace_period_seconds=1, **fields)
    return server.api("POST", f"/projects/acme/jobs/{name}/runs", {})


def log_files(server: JobyardServer, run: Json) -> list[Path]:
    """What the server is writing of the run's log."""
    return list((server.data / "logs/unstored").glob(f"*%2F{run['id']}%2F*"))


def by_part(two: tuple[JobyardServer, JobyardServer], run: Json) -> tuple[JobyardServer, JobyardServer]:
    """Who works on the run, and who doesn't."""
    eventually(lambda: any(log_files(each, run) for each in two), 60)
    one, other = two
    return (one, other) if log_files(one, run) else (other, one)


def test_a_secret_that_is_changed_on_one_counts_at_once_on_the_other(
    two: tuple[JobyardServer, JobyardServer],
) -> None:
    one, other = two
    one.make_job("hooked", URL)

    def send(secret: str) -> int:
        push = {"ref": "refs/heads/none", "before": "1" * 40, "after": "2" * 40, "commits": []}
        body = encode({**push, "repository": {"full_name": "acme/report", "clone_url": URL}})
        headers = push_headers(secret.encode(), body, f"hook-{next(NUMBERS)}")
        return other.http.post("/webhooks/github", content=body, headers=headers).status_code

    eventually(lambda: send(SECRET) != 401, LATE_SECONDS + BUSY_SECONDS)
    one.api("PATCH", "/projects/acme", {"webhook_secret": "another secret of acme"})
    eventually(lambda: send(SECRET) == 401, LATE_SECONDS + BUSY_SECONDS)
    assert send("another secret of acme") != 401


def test_a_live_page_follows_within_a_second_what_the_other_server_runs(
    two: tuple[JobyardServer, JobyardServer],
) -> None:
    script = "n=0; trap 'n=$((n+1)); echo told $n times' USR1; while true; do sleep 0.1; done"
    run = begin(two[0], f"echo ready; {script}")
    _, viewer = by_part(two, run)
    with browsing() as browser, docker_client() as engine:
        page = visitor(browser, viewer.url, token=TOKEN)
        page.goto(f"/runs/{run['name']}")
        expect(page.get_by_text("ready", exact=True)).to_be_visible(timeout=60_000)
        [container] = [each for each in viewer.containers(engine) if each["State"] == "running"]
        late = []
        for number in range(1, 6):
            began = time.monotonic()
            engine.kill(container["Id"], "USR1")
            expect(page.get_by_text(f"told {number} times", exact=True)).to_be_visible(timeout=10_000)
            late.append(time.monotonic() - began)
        assert min(late) < LATE_SECONDS
        assert sorted(late)[2] < LATE_SECONDS + BUSY_SECONDS
        viewer.api("POST", f"/runs/{run['id']}/cancel")
        expect(page.get_by_text(re.compile("ancelled")).first).to_be_visible(timeout=20_000)


def test_what_one_was_doing_as_it_was_killed_the_other_goes_on_with_and_no_line_is_lost(
    two: tuple[JobyardServer, JobyardServer],
) -> None:
    run = begin(two[0], "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); sleep 0.1; done")
    worker, other = by_part(two, run)
    other.wait_for("it has said something", lambda: "line 20\n" in other.log_of(run), 60)
    worker.kill()
    ended = other.over(f"/runs/{run['id']}", TAKEN_OVER_SECONDS)
    assert (ended["status"], ended["attempts"]) == ("succeeded", 1)
    assert other.log_of(run) == "".join(f"line {number}\n" for number in range(500))
    worker.start()
    assert worker.log_of(run) == other.log_of(run)
