"""A secret variable reaches build and job, and nothing else."""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, docker_client

VALUE = "correct horse/battery+staple=7391"
FORMS = (VALUE, quote(VALUE, safe=""), base64.b64encode(VALUE.encode()).decode())


@contextmanager
def watched_processes() -> Iterator[list[str]]:
    """The arguments of every process seen while the block runs."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.add((entry / "cmdline").read_bytes().decode(errors="replace"))
                    except OSError:
                        continue

    thread = threading.Thread(target=watch)
    thread.start()
    found: list[str] = []
    try:
        yield found
    finally:
        over.set()
        thread.join()
        found += seen


def leaks(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


def test_a_secret_is_seen_nowhere_but_in_build_and_job(jobyard: JobyardServer, hosted: HostedJob) -> None:
    env = {"TOKEN": {"value": VALUE, "secret": True, "scope": "both"}, "PLAIN": "in the clear"}
    job = hosted.job(env=env)
    assert job["env"]["TOKEN"]["value"] is None
    dockerfile = (
        "FROM busybox:latest\n"
        f"RUN --mount=type=secret,id=TOKEN : {time.time_ns()};"  # a step from the cache says nothing
        " echo in the build: $(cat /run/secrets/TOKEN), $(wc -c </run/secrets/TOKEN) bytes\n"
        'CMD ["sh", "-c", "echo in the job: $TOKEN; echo $TOKEN | wc -c; '
        'printf %s \\"$TOKEN\\" | base64; echo $PLAIN"]\n'
    )
    with watched_processes() as processes:
        run = hosted.ran(hosted.push({"Dockerfile": dockerfile}))
    assert any("docker" in each and "build" in each for each in processes)
    build_log = jobyard.text(f"/builds/{run['build']}/logs")
    assert f"in the build: ***, {len(VALUE)} bytes" in build_log
    run_log = jobyard.log_of(run)
    assert run_log == f"in the job: ***\n{len(VALUE) + 1}\n***\nin the clear\n"
    told = [
        jobyard.request("GET", path).text
        for path in (
            *(f"/runs/{run['id']}{rest}" for rest in ("", "/logs", "/attempts")),
            *(f"/builds/{run['build']}{rest}" for rest in ("", "/logs")),
            *(f"{hosted.path}{rest}" for rest in ("", "/runs", "/builds", "/why")),
            "/deliveries",
            "/decisions",
        )
    ]
    files = [path.read_bytes().decode(errors="replace") for path in jobyard.data.rglob("*") if path.is_file()]
    with docker_client() as client:
        image = str(client.inspect_image(run["digest"])) + str(client.history(run["digest"]))
        layers = b"".join(client.get_image(run["digest"])).decode(errors="replace")
    for text in (*told, *files, *processes, image, layers, jobyard.log):
        assert leaks(text) == []


def test_changing_a_job_keeps_its_secrets(jobyard: JobyardServer, hosted: HostedJob) -> None:
    image = {"type": "image", "image": "busybox:latest"}
    env = {"TOKEN": {"value": VALUE, "secret": True}}
    hosted.job(source=image, env=env, command=["sh", "-c", "echo $TOKEN | wc -c; echo $TOKEN"])
    jobyard.api("PATCH", hosted.path, {"env": {"MODE": "weekly"}})
    run = jobyard.over(f"/runs/{hosted.start()['id']}")
    assert jobyard.log_of(run) == f"{len(VALUE) + 1}\n***\n"
    shown = jobyard.api("GET", f"/runs/{run['id']}")["effective"]["env"]["TOKEN"]
    assert shown == {"value": None, "secret": True, "scope": "run"}
