"""What a container says, to the end of its process and of its log: also over times without an engine or a disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.domain.errors import DiskUnavailable, EngineUnavailable
from app.domain.outages import unanswered_for
from app.domain.output import Stream
from app.domain.runs import Container, Outcome, Reason
from app.engines.base import Chunk, Engine, Handle
from app.logs import LogWriter
from app.runtime.disk import Disk
from app.workers.log_recording import Recording
from app.workers.run.active import ActiveRun
from app.workers.run.outcomes import outcome_of_exit
from app.workers.run.patience import Patience

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Follower:
    """What the disk has no room for waits with the engine, for as long as that takes; the container goes on.

    An engine that doesn't answer is asked every few seconds, until its time is up: `new_patience` tells when.
    """

    engine: Engine
    disk: Disk
    new_patience: Callable[[], Patience]
    asked_every_seconds: float

    def follow(
        self,
        active: ActiveRun,
        container: Container,
        handle: Handle,
        recording: Recording,
        spoke: threading.Event,
    ) -> Outcome:
        """Read the log to its end, then learn how the process ended; survives an engine that goes away meanwhile."""
        patience = self.new_patience()
        while True:
            patience.ask()
            try:
                for _ in self._read_on(recording, container, handle):
                    spoke.set()
                spoke.set()  # it may have said nothing at all
                return outcome_of_exit(self.engine.wait(handle))
            except DiskUnavailable:
                spoke.set()
                self.disk.pause()
            except EngineUnavailable as error:
                if patience.is_over(is_to_end=active.stop_is_requested):
                    sentence = unanswered_for(str(error), patience.seconds)
                    return Outcome(Reason.ENGINE_FAILED, sentence=sentence)
                patience.pause(self.asked_every_seconds)

    def complete(self, recording: Recording, ended: Sequence[tuple[Container, Handle | None]]) -> None:
        """Have all of the log on disk: what could not be written of its end, the containers say again."""
        while True:
            try:
                recording.close()
                return
            except DiskUnavailable:
                self.disk.pause()
            try:
                for container, handle in ended:
                    for _ in self._read_on(recording, container, handle) if handle is not None else ():
                        pass
            except DiskUnavailable:
                continue
            except EngineUnavailable as error:
                log.warning("the log %s lacks its end: %s", recording.path, error)

    def _read_on(self, recording: Recording, container: Container, handle: Handle) -> Iterator[None]:
        """Write what the log lacks. Raises DiskUnavailable, EngineUnavailable."""
        writer = recording.writer()
        with recording.on_disk(writer):
            seen = writer.seen(container.instance)
        for chunk in self.engine.logs(handle, seen):
            with recording.on_disk(writer):
                _write(writer, container, chunk)
            yield


def _write(writer: LogWriter, container: Container, chunk: Chunk) -> None:
    if chunk.stream is Stream.SYSTEM:
        writer.note(chunk.at, chunk.data.decode().rstrip())
    else:
        writer.write(chunk.at, chunk.stream, chunk.data, container.instance)
