"""The backend against a real engine: whose fault a failure is, and an end that leaves others alone."""

import hashlib
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builders.backends.base import (
    BackendUnavailable,
    BuildCancelled,
    BuildFailed,
    BuildRequest,
    BuildTimedOut,
    request_for,
)
from builders.backends.buildkit import BuildKitCli
from builders.backends.step_limits import StepLimits, where
from builders.detect import make_plan
from builders.plan import BuildSettings
from builders.source import SourceTree
from tests.support.building import Recorder, docker, remove_images, run_image
from tests.support.waiting import eventually


@pytest.fixture(scope="module", autouse=True)
def leave_no_images() -> Iterator[None]:
    yield
    remove_images()


BASE = "FROM busybox:latest\n"


def test_a_cancel_ends_this_build_and_no_other(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    # The quotes keep the words apart from the instruction, which is part of the output too.
    endless = f'{BASE}RUN echo be""gan-{mark} && sh -c "while sleep 0.1; do :; done" {mark}\n'
    short = f'{BASE}RUN echo be""gan-{mark} && sleep 3 && echo done > /done\n'
    cancelled, other = Recorder(), Recorder()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cancelled.build, BuildRequest(context=tmp_path, dockerfile_text=endless))
        second = pool.submit(other.build, BuildRequest(context=tmp_path, dockerfile_text=short))
        try:
            cancelled.wait_for(f"began-{mark}".encode())
            other.wait_for(f"began-{mark}".encode())
            eventually(lambda: _running(mark))
        finally:
            cancelled.stop.set()
        with pytest.raises(BuildCancelled):
            first.result(30)
        image = second.result(60)
    assert run_image(image, "cat", "/done") == "done\n"
    eventually(lambda: not _running(mark))


def test_the_time_limit_ends_the_build(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    recipe = f'{BASE}RUN sh -c "while sleep 0.1; do :; done" {mark}\n'
    began = time.monotonic()
    with pytest.raises(BuildTimedOut, match=r"time limit of 3 s"):
        Recorder().build(BuildRequest(context=tmp_path, dockerfile_text=recipe), time_limit_seconds=3)
    assert time.monotonic() - began < 20
    eventually(lambda: not _running(mark))


def test_two_builds_go_on_side_by_side(tmp_path: Path) -> None:
    """Each waits until the other has begun, through a cache both see."""
    names = uuid.uuid4().hex, uuid.uuid4().hex

    def recipe(own: str, other: str) -> str:
        mount = f"--mount=type=cache,id=jobyard-test-{names[0]},target=/meet"
        return f"{BASE}RUN {mount} touch /meet/{own} && until [ -e /meet/{other} ]; do sleep 0.1; done\n"

    requests = [
        BuildRequest(context=tmp_path, dockerfile_text=recipe(*pair)) for pair in (names, names[::-1])
    ]
    with ThreadPoolExecutor(2) as pool:
        images = list(pool.map(lambda request: Recorder().build(request, time_limit_seconds=60), requests))
    assert all(image.digest.startswith("sha256:") for image in images)


def test_a_secret_reaches_the_build_and_stays_nowhere(tmp_path: Path) -> None:
    secret = f"s3cret {uuid.uuid4().hex}\nsecond line"
    # A source of its own: BuildKit doesn't count a secret among what a step depends on.
    (tmp_path / "job.sh").write_text(f"cat seen; env  # {uuid.uuid4()}\n")
    settings = BuildSettings(build_command='printf %s "$TOKEN" | sha256sum | cut -c1-64 > seen')
    plan = make_plan(SourceTree(tmp_path), settings)
    recorder = Recorder()
    image = recorder.build(request_for(plan, tmp_path, secrets={"TOKEN": secret.encode()}))
    printed = run_image(image)
    assert printed.startswith(hashlib.sha256(secret.encode()).hexdigest())
    everything = [
        printed.encode(),
        bytes(recorder.output),
        docker("history", "--no-trunc", image.digest).stdout,
        docker("image", "inspect", image.digest).stdout,
        docker("save", image.digest).stdout,
    ]
    for text in everything:
        assert text
        for line in secret.encode().splitlines():
            assert line not in text


def test_a_failing_step_is_named(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(
        BuildFailed, match=r"^The build failed at \[2/2\] RUN echo why && exit 7: exit code 7: why\.$"
    ):
        recorder.build(BuildRequest(context=tmp_path, dockerfile_text=f"{BASE}RUN echo why && exit 7\n"))
    assert recorder.steps[-1].failed
    assert b" why" in recorder.output


def test_a_broken_dockerfile_is_the_repositorys_fault(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"unknown instruction: RUNN"):
        Recorder().build(BuildRequest(context=tmp_path, dockerfile_text=f"{BASE}RUNN x\n"))


def test_a_missing_file_is_the_repositorys_fault(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"COPY nothing /: .*nothing.*not found"):
        Recorder().build(BuildRequest(context=tmp_path, dockerfile_text=f"{BASE}COPY nothing /\n"))


def test_an_engine_that_is_down_is_nobodys_fault(tmp_path: Path) -> None:
    backend = BuildKitCli(f"unix://{tmp_path}/none.sock")
    recorder = Recorder()
    with pytest.raises(BackendUnavailable, match=r"engine doesn't answer"):
        backend.build(
            BuildRequest(context=tmp_path, dockerfile_text=BASE),
            on_output=recorder.output.extend,
            on_step=recorder.steps.append,
            should_stop=recorder.stop,
            time_limit_seconds=30,
        )


def test_a_target_and_a_dockerfile_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:latest AS one\nRUN echo one > /which\nFROM one\nRUN echo two > /which\n"
    )
    request = BuildRequest(context=tmp_path, dockerfile_path=tmp_path / "Dockerfile", target="one")
    assert run_image(Recorder().build(request), "cat", "/which") == "one\n"


def test_a_dockerfile_that_leads_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").write_text(BASE)
    (root / "Dockerfile").symlink_to("../outside")
    with pytest.raises(BuildFailed, match=r"not a file inside of the repository"):
        Recorder().build(BuildRequest(context=root, dockerfile_path=root / "Dockerfile"))


def _running(mark: str) -> bool:
    """Whether any process of this machine, in a container or not, has the mark in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if mark.encode() in line and b"while sleep" in line and b"--file" not in line:
            return True
    return False


def test_a_step_has_the_memory_and_the_processes_that_it_may_have(tmp_path: Path) -> None:
    """On the engine itself, whose command line takes no limits for a step."""
    assert where(), "the control groups of this machine can't be set"
    backend = BuildKitCli(limits=StepLimits(memory_bytes=64 * 2**20, processes=50, setting="SETTING"))
    memory, processes = (
        f"cat /sys/fs/cgroup/{first} /sys/fs/cgroup/{second} 2>/dev/null"
        for first, second in (
            ("memory/memory.limit_in_bytes", "memory.max"),
            ("pids/pids.max", "pids.max"),
        )
    )
    limited = f'until [ "$({memory})" = 67108864 ] && [ "$({processes})" = 50 ]; do sleep 0.1; done'
    text = f'{BASE}RUN {limited}; echo lim""ited\nRUN {limited}; x="$(yes | head -c 200000000)"\n'
    recorder = Recorder(backend=backend)
    said = r"exit code 137: it was killed, most likely for using more than 64 MiB of memory \(SETTING\)"
    with pytest.raises(BuildFailed, match=said):
        recorder.build(BuildRequest(context=tmp_path, dockerfile_text=text, no_cache=True))
    assert b"limited" in recorder.output


def test_no_step_gets_the_network_of_the_machine_from_the_engine(tmp_path: Path) -> None:
    """Jobyard refuses such a Dockerfile before; the engine does so as well."""
    text = f'{BASE}RUN --network=host echo rea""ched\n'
    recorder = Recorder()
    with pytest.raises(BuildFailed):
        recorder.build(BuildRequest(context=tmp_path, dockerfile_text=text))
    assert b"reached" not in recorder.output
