"""Where secrets are while they are files: in memory, for their owner alone, and not longer than he lives."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import private
from tests.support.project import ROOT

LATER = 1e12  # when nothing is fresh any more
OTHER = """
import sys, time
from pathlib import Path
from builders import private
private.SHARED_MEMORY = Path(sys.argv[1])
with private.private_directory() as directory:
    (directory / "NPM_TOKEN").write_text("a secret")
    print(directory, flush=True)
    time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What this test has for /dev/shm and for /tmp."""
    (tmp_path / "shm").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(private, "SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(private, "_MOUNTS", tmp_path / "mounts")
    (tmp_path / "mounts").write_text(f"overlay / overlay rw 0 0\ntmpfs {tmp_path}/shm tmpfs rw 0 0\n")
    return tmp_path / "shm"


@contextmanager
def other_process(memory: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """One that holds a private directory, as a server does that builds."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(memory)],
        env={"PYTHONPATH": str(ROOT), "TMPDIR": str(memory)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_it_is_for_its_owner_alone_in_memory_and_goes_with_the_block(memory: Path) -> None:
    with private.private_directory() as directory:
        assert directory.parent == memory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "below").mkdir()
        (directory / "below/NPM_TOKEN").write_text("a secret")
    assert list(memory.iterdir()) == []


def test_it_goes_also_when_the_block_fails(memory: Path) -> None:
    with pytest.raises(ZeroDivisionError), private.private_directory():
        raise ZeroDivisionError
    assert list(memory.iterdir()) == []


@pytest.mark.parametrize(
    "mounts",
    [
        "overlay / overlay rw 0 0\n",
        "overlay / overlay rw 0 0\ntmpfs {shm} tmpfs rw 0 0\nshared {shm} ext4 rw 0 0\n",
        "tmpfs {shm}/deeper tmpfs rw 0 0\n",
        "",
        None,
    ],
)
def test_what_is_not_known_to_be_memory_is_not_used(memory: Path, tmp_path: Path, mounts: str | None) -> None:
    (tmp_path / "mounts").unlink()
    if mounts is not None:
        (tmp_path / "mounts").write_text(mounts.format(shm=memory))
    with private.private_directory() as directory:
        assert directory.parent == tmp_path / "tmp"


@pytest.mark.parametrize("amiss", ["missing", "full"])
def test_without_room_in_memory_it_is_a_temporary_directory(
    memory: Path, tmp_path: Path, amiss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if amiss == "missing":
        memory.rmdir()
    else:
        monkeypatch.setattr(private, "ROOM_BYTES", 1 << 80)
    with private.private_directory() as directory:
        assert directory.parent == tmp_path / "tmp"


def test_this_machines_memory_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", "/dev/shm"], capture_output=True, text=True, check=True
    )
    monkeypatch.setattr(private, "_MOUNTS", Path("/proc/self/mounts"))
    assert private.is_memory(Path("/dev/shm")) == (kind.stdout.strip() == "tmpfs")


def test_the_living_keep_theirs_and_the_killed_do_not(memory: Path) -> None:
    with private.private_directory() as ours, other_process(memory) as (process, theirs):
        assert theirs.parent == ours.parent == memory
        assert private.sweep(LATER) == []
        assert (theirs / "NPM_TOKEN").read_text() == "a secret"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (theirs / "NPM_TOKEN").exists()
        assert private.sweep(0) == [theirs]
        assert list(memory.iterdir()) == [ours]


def test_of_versions_without_a_lock_only_what_is_old_and_nobody_works_in(
    memory: Path, tmp_path: Path
) -> None:
    for parent in (memory, tmp_path / "tmp"):
        for name in ("jobyard-build-abc", "jobyard-push-abc", "jobyard-key-abc", "jobyard-demo-abc"):
            (parent / name / "secrets").mkdir(parents=True)
    now = memory.stat().st_mtime
    assert private.sweep(now + 60) == []
    with subprocess.Popen(["sleep", "1000"], cwd=memory / "jobyard-build-abc") as builds:
        removed = private.sweep(now + 2 * private.UNLOCKED_SECONDS)
        builds.kill()
    assert len(removed) == 5
    assert [each.name for each in sorted(memory.iterdir())] == ["jobyard-build-abc", "jobyard-demo-abc"]
    assert [each.name for each in (tmp_path / "tmp").iterdir()] == ["jobyard-demo-abc"]


def test_what_anybody_may_have_put_there_is_left_alone(memory: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (memory / "jobyard-private-link").symlink_to(precious)
    (memory / "jobyard-private-file").touch()
    if os.geteuid() == 0:
        (memory / "jobyard-private-theirs").mkdir()
        os.chown(memory / "jobyard-private-theirs", 12345, 12345)
    before = sorted(memory.iterdir())
    assert private.sweep(LATER) == []
    assert (sorted(memory.iterdir()), precious.is_dir()) == (before, True)


def test_however_many_are_made_while_others_sweep(memory: Path) -> None:
    broken: list[BaseException] = []
    over = threading.Event()

    def make() -> None:
        try:
            for _ in range(100):
                with private.private_directory() as directory:
                    (directory / "secret").write_text("x")
                    assert (directory / "secret").read_text() == "x"
        except BaseException as error:
            broken.append(error)

    def sweep() -> None:
        while not over.is_set():
            private.sweep(LATER)

    sweeper = threading.Thread(target=sweep)
    makers = [threading.Thread(target=make) for _ in range(4)]
    for thread in (sweeper, *makers):
        thread.start()
    for thread in makers:
        thread.join()
    over.set()
    sweeper.join()
    assert broken == []
    assert list(memory.iterdir()) == []
