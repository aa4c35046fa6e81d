"""One container: a directory, and what its files say."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from app.domain.documents import Json, Stored
from app.domain.output import Stream
from app.engines.base import LOST, Chunk, Exit, ExitKind, Handle, Owned, StartRefused, State
from app.engines.process.supervisor import FRAME, NOT_EXECUTABLE
from builders.trees import remove_tree

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READ_BYTES = 1 << 20
MAX_DEPTH = 200
"""Directories within one another in an image."""


@dataclass(frozen=True)
class Container:
    """A container's directory. One that was removed reads as such: no method fails if that happens meanwhile."""

    directory: Path
    spec: Stored

    @classmethod
    def make(cls, root: Path, key: str, spec: Stored, tree: Path) -> None:
        """Make the container whole or not at all, in a copy of `tree`; one of this key, epoch and labels is left as
        it is.
        """
        directory = directory_of(root, key, spec)
        draft = root / f".new-{uuid.uuid4().hex}"
        home, work = (str(directory / name) for name in ("home", "work"))
        env = {"HOME": home, **spec["env"]}
        whole = {**spec, "id": uuid.uuid4().hex, "key": key, "env": env, "cwd": work}
        try:
            (draft / "home").mkdir(parents=True, mode=0o700)
            draft.chmod(0o700)
            shutil.copytree(tree, draft / "work", symlinks=True, ignore=_refuse_depth(tree))
            (draft / "output").touch(mode=0o600)
            os.mkfifo(draft / "control", 0o600)
            (draft / "spec.json").write_text(json.dumps(whole))
        except BaseException:
            remove_tree(draft)
            raise
        try:
            draft.rename(directory)
        except OSError as error:
            remove_tree(draft)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    @classmethod
    def find(cls, directory: Path) -> Container | None:
        try:
            return cls(directory, json.loads((directory / "spec.json").read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @classmethod
    def all(cls, root: Path, key: str = "") -> Iterator[Container]:
        """Yield the containers of this key; all of them if it is empty."""
        for directory in sorted(root.glob(f"{quoted(key)}*")):
            found = None if directory.name.startswith(".") else cls.find(directory)
            if found is not None and key in ("", found.spec["key"]):
                yield found

    @property
    def handle(self) -> Handle:
        return Handle("process", self.spec["key"], self.spec["id"], self.directory.name)

    @property
    def epoch(self) -> str:
        epoch: str = self.spec.get("epoch", "")
        return epoch

    @property
    def owned(self) -> Owned:
        return Owned(self.handle, self.state(), self.spec["labels"], self._made_at())

    def _made_at(self) -> datetime | None:
        try:
            return datetime.fromtimestamp((self.directory / "spec.json").stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def state(self) -> State:
        if self.is_alive():
            return State.RUNNING
        return State.EXITED if (self.directory / "started").exists() else State.CREATED

    def is_alive(self) -> bool:
        """Return whether its supervisor lives, which holds the lock until everything is written."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def pid(self) -> int | None:
        """Return the id of the process, which leads a session of its own; None if it does not run."""
        try:
            return int((self.directory / "pid").read_text()) if self.is_alive() else None
        except FileNotFoundError:
            return None

    def refusal(self) -> tuple[str, int] | None:
        """Return why the process could not be started, and the exit code a shell would give; None if it could."""
        how = self._exit()
        return (how["refused"], how["code"]) if how and "refused" in how else None

    def exit(self) -> Exit | None:
        """Return how it ended; None while it runs."""
        if self.is_alive():
            return None
        how = self._exit()
        if not self.directory.exists():
            return Exit(ExitKind.LOST, detail=LOST)
        if not (self.directory / "started").exists():
            return Exit(ExitKind.ENGINE_FAILED, detail="The process was never started.")
        if how is None:
            return Exit(ExitKind.ENGINE_FAILED, detail="The machine was restarted, or its supervisor killed.")
        if "refused" in how:
            return Exit(ExitKind.ENGINE_FAILED, how["code"], detail=how["refused"])
        started_at, finished_at = time_of(how["started_at"]), time_of(how["finished_at"])
        return Exit(ExitKind.EXITED, how["code"], False, started_at, finished_at)

    def tell(self, request: bytes) -> None:
        """Send the supervisor `T` (SIGTERM) or `K` (SIGKILL to all). One that has ended gets nothing, which is no
        error.
        """
        try:
            control = os.open(self.directory / "control", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return
            raise
        try:
            os.write(control, request)
        finally:
            os.close(control)

    def remove(self) -> None:
        grave = self.directory.with_name(f".gone-{uuid.uuid4().hex}")
        try:
            self.directory.rename(grave)
        except FileNotFoundError:
            return
        remove_tree(grave)

    def _exit(self) -> Json | None:
        try:
            how: Json = json.loads((self.directory / "exit.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return how


class OutputReader:
    """Reads on in the output file from where it stopped."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "output").open("rb", buffering=0)
        self._rest = b""

    def more(self) -> Iterator[Chunk]:
        """Yield the whole frames that are in the file by now."""
        while data := self._file.read(_READ_BYTES):
            buffer, at = self._rest + data, 0
            while len(buffer) - at >= FRAME.size:
                nanoseconds, stream, length = FRAME.unpack_from(buffer, at)
                end = at + FRAME.size + length
                if end > len(buffer):
                    break
                yield Chunk(time_of(nanoseconds), Stream(stream), buffer[at + FRAME.size : end])
                at = end
            self._rest = buffer[at:]

    def close(self) -> None:
        self._file.close()


def _refuse_depth(tree: Path) -> Callable[[str, list[str]], list[str]]:
    """Return an `ignore` for `copytree`, which copies by recursion; it raises StartRefused below MAX_DEPTH."""
    deepest = str(tree).count("/") + MAX_DEPTH

    def choose(directory: str, _: list[str]) -> list[str]:
        if directory.count("/") > deepest:
            raise StartRefused(
                f"The image has more than {MAX_DEPTH} directories within one another.", NOT_EXECUTABLE
            )
        return []

    return choose


def directory_of(root: Path, key: str, spec: Stored) -> Path:
    """Return the directory for the key and for what tells its containers apart: epoch and labels."""
    told = json.dumps([spec["labels"], spec.get("epoch", "")], sort_keys=True)
    return root / f"{quoted(key)}.{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def quoted(key: str) -> str:
    return quote(key, safe="").replace(".", "%2E")


def time_of(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
