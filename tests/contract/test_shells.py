"""What engines promise of shells, for every engine alike; what only a real shell can show, on those that have one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from app.engines.base import ContainerSpec, Handle
from app.engines.docker import DockerEngine
from app.engines.fake import Script
from app.engines.shells import NO_SHELL, NOT_RUNNING, NoShell, Shell
from app.runtime.threads import start_in_thread
from tests.support.engine_harness import BUSYBOX, DISTANT, SHELLED, Harness, utc_now
from tests.support.waiting import eventually

FOREVER = ("exec sleep 1000", Script(exit_code=None))
EVERYWHERE = pytest.mark.parametrize("harness", [*SHELLED, *DISTANT], indirect=True)
REAL = pytest.mark.parametrize("harness", ["docker", "process", "kubernetes", *DISTANT], indirect=True)


@pytest.fixture
def handle(harness: Harness) -> Handle:
    return harness.engine.start(harness.spec(*FOREVER), "a", 1)


@pytest.fixture
def shell(harness: Harness, handle: Handle) -> Iterator[Shell]:
    shell = harness.engine.shell(handle, 100, 30)
    yield shell
    shell.close()


def read_until(shell: Shell, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        data = shell.read()
        assert data, f"the shell ended: {seen!r}"
        seen += data
    return seen


def read_to_the_end(shell: Shell) -> bytes:
    return b"".join(iter(shell.read, b""))


def is_running(word: str) -> bool:
    """Whether a process of this machine, in a container or not, has the word as an argument."""

    def has_it(cmdline: Path) -> bool:
        try:
            return word.encode() in cmdline.read_bytes().split(b"\0")
        except OSError:
            return False

    return any(map(has_it, Path("/proc").glob("[0-9]*/cmdline")))


@EVERYWHERE
class TestEveryEngine:
    def test_shows_what_is_typed_and_ends_when_it_exits(self, shell: Shell) -> None:
        shell.write(b"echo one\n")
        read_until(shell, b"one")
        shell.write(b"exit\n")
        read_to_the_end(shell)
        shell.write(b"lost\n")
        shell.resize(10, 10)

    def test_ends_with_its_container(self, harness: Harness, handle: Handle, shell: Shell) -> None:
        ended = start_in_thread("reader", lambda: read_to_the_end(shell))
        harness.engine.stop(handle, 0)
        ended.result(20)

    def test_closing_ends_a_reader_and_can_be_repeated(self, shell: Shell) -> None:
        ended = start_in_thread("reader", lambda: read_to_the_end(shell))
        shell.close()
        ended.result(20)
        shell.close()
        assert shell.read() == b""

    def test_none_where_nothing_runs(self, harness: Harness, handle: Handle) -> None:
        harness.engine.stop(handle, 0)
        with pytest.raises(NoShell, match="runs on another server's") as stopped:
            harness.engine.shell(handle, 80, 24)
        harness.engine.remove(handle)
        with pytest.raises(NoShell) as removed:
            harness.engine.shell(handle, 80, 24)
        assert str(stopped.value) == str(removed.value) == NOT_RUNNING

    def test_what_a_killed_server_left_open_is_ended_by_the_next(
        self, harness: Harness, handle: Handle, shell: Shell
    ) -> None:
        later = harness.another()
        own = later.shell(handle, 80, 24)
        left = start_in_thread("reader", lambda: read_to_the_end(shell))
        later.end_shells(handle)
        left.result(20)
        own.write(b"echo goes on\n")
        read_until(own, b"goes on")
        own.close()

    def test_there_is_nothing_to_end_in_what_is_gone(self, harness: Harness, handle: Handle) -> None:
        harness.engine.remove(handle)
        harness.engine.end_shells(handle)


@REAL
class TestRealOnes:
    def test_it_has_a_terminal_of_its_size_and_the_containers_environment(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*FOREVER, env={"WHO": "acme"}), "a", 1)
        shell = harness.engine.shell(handle, 100, 30)
        shell.write(b"stty size; echo $WHO-$TERM; tty -s && echo a-$((40 + 2))\n")
        seen = read_until(shell, b"a-42")
        assert b"30 100" in seen
        assert b"acme-xterm-256color" in seen
        shell.resize(120, 40)
        shell.write(b"stty size\n")
        read_until(shell, b"40 120")
        shell.close()

    def test_every_byte_goes_through(self, shell: Shell) -> None:
        every_byte = bytes(range(256))
        shell.write(
            b"stty raw -echo; echo rea''dy; head -c 256 | od -An -v -tx1; printf '\\001\\377\\200end'\n"
        )
        read_until(shell, b"ready")
        shell.write(every_byte)
        seen = read_until(shell, b"\x01\xff\x80end")
        shown = b" ".join(seen.split())
        assert b" ".join(b"%02x" % byte for byte in every_byte) in shown

    def test_it_may_be_closed_before_it_has_begun(self, harness: Harness, handle: Handle) -> None:
        for _ in range(5):
            harness.engine.shell(handle, 80, 24).close()

    def test_closing_leaves_no_process_not_even_in_the_background(self, shell: Shell) -> None:
        words = [f"1234{uuid.uuid4().int % 10**6}.{number}" for number in range(3)]
        shell.write(b"sleep %s & (setsid sleep %s &) ; sleep %s\n" % tuple(each.encode() for each in words))
        eventually(lambda: all(map(is_running, words)))
        shell.close()
        eventually(lambda: not any(map(is_running, words)))

    def test_the_containers_own_process_goes_on(self, harness: Harness, handle: Handle, shell: Shell) -> None:
        shell.close()
        assert harness.engine.probe(handle, ["true"], 20) == 0

    def test_what_nobody_reads_waits_where_it_is(self, shell: Shell) -> None:
        shell.write(b"yes\n")
        assert all(len(shell.read()) <= 1 << 16 for _ in range(100))
        rest = start_in_thread("reader", lambda: read_to_the_end(shell))
        shell.close()
        rest.result(20)

    def test_what_is_typed_waits_where_nobody_takes_it(self, shell: Shell) -> None:
        shell.write(b"stty raw -echo; echo rea''dy; exec sleep 1000\n")
        read_until(shell, b"ready")
        stuck = start_in_thread("writer", lambda: shell.write(b"x" * (64 << 20)))
        shell.close()
        stuck.result(20)


def test_an_image_without_a_shell_has_none(without_a_shell: Callable[[], ContainerSpec]) -> None:
    engine = DockerEngine(url=None, installation=f"test-{uuid.uuid4().hex[:12]}", clock=utc_now)
    handle = engine.start(without_a_shell(), "a", 1)
    try:
        with pytest.raises(NoShell) as refused:
            engine.shell(handle, 80, 24)
        assert str(refused.value) == NO_SHELL
    finally:
        engine.remove(handle)
        engine.close()


@pytest.fixture
def without_a_shell() -> Iterator[Callable[[], ContainerSpec]]:
    """An image with one program."""
    client = docker.APIClient(timeout=60)
    name = f"jobyard-test-{uuid.uuid4().hex[:12]}:latest"
    base = client.create_container(BUSYBOX)["Id"]
    packed = b"".join(client.get_archive(base, "/bin/busybox")[0])
    client.remove_container(base)
    repository, _, tag = name.partition(":")
    client.import_image_from_data(packed, repository=repository, tag=tag)
    yield lambda: ContainerSpec(client.inspect_image(name)["Id"], command=("/busybox", "sleep", "1000"))
    client.remove_image(name, force=True)
    client.close()
