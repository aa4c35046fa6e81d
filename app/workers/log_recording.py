"""Logs on a disk that may be full: what a container says waits with its engine, what a build says leaves a gap."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from app.disk import fault_of
from app.domain.errors import DiskUnavailable
from app.domain.output import Stream
from app.logs import LogWriter
from app.runtime.disk import Disk
from app.runtime.ports import Clock

log = logging.getLogger(__name__)
NO_ROOM = "there was no room for them on the server's disk."


class OpenLog(Protocol):
    def __call__(self, *, anew: bool) -> LogWriter: ...


@dataclass
class Recording:
    """One log, with the writer that it has now: after a fault of the disk the next one asks for a new writer.

    `open_log` is told whether the log begins anew, which it does once. Safe to use from any thread.
    """

    path: Path
    open_log: OpenLog
    disk: Disk
    anew: bool
    _writer: LogWriter | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def writer(self) -> LogWriter:
        """Raises DiskUnavailable. Ask its `seen` where to go on."""
        with self._lock:
            if self._writer is None:
                try:
                    self._writer = self.open_log(anew=self.anew)
                except OSError as error:
                    raise self._fault(error) from error
                self.anew = False
            return self._writer

    @contextmanager
    def on_disk(self, writer: LogWriter) -> Iterator[None]:
        """Give the writer up and raise DiskUnavailable where what the block does with it fails."""
        try:
            yield
        except OSError as error:
            self._give_up(writer)
            raise self._fault(error) from error

    def note(self, at: datetime, text: str) -> None:
        """A line of our own; raises DiskUnavailable."""
        writer = self.writer()
        with self.on_disk(writer):
            writer.note(at, text)

    def close(self) -> None:
        """Closing twice is fine; raises DiskUnavailable where the end of what was said could not be written."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            with self.on_disk(writer):
                writer.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(DiskUnavailable):
            self.close()

    def _give_up(self, writer: LogWriter) -> None:
        with self._lock:
            if self._writer is writer:
                self._writer = None
        writer.abandon()

    def _fault(self, error: OSError) -> DiskUnavailable:
        fault = fault_of(error, self.path.parent)
        self.disk.failed(fault)
        return fault


@dataclass
class BuildRecording:
    """What a build says, which nothing can say again: it is not kept up, and what is missing is marked."""

    recording: Recording
    disk: Disk
    clock: Clock
    _missing: int = 0

    def write(self, data: bytes) -> None:
        try:
            writer = self._writer_now()
            with self.recording.on_disk(writer):
                writer.write(self.clock.now(), Stream.STDOUT, data)
        except DiskUnavailable:
            self._missing += len(data)

    def note(self, text: str) -> None:
        try:
            self._writer_now()
            self.recording.note(self.clock.now(), text)
        except DiskUnavailable:
            self._missing += len(text.encode()) + 1

    def __enter__(self) -> BuildRecording:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._writer_now()
            self.recording.close()
        except DiskUnavailable as error:
            log.warning("the log %s lacks its end: %s", self.recording.path, error)
            self.recording.__exit__()

    def _writer_now(self) -> LogWriter:
        """Raises DiskUnavailable."""
        writer = self.recording.writer()
        if self._missing:
            with self.recording.on_disk(writer):
                writer.note(self.clock.now(), f"Some {self._missing:,} bytes are missing here: {NO_ROOM}")
            self._missing = 0
        return writer
