"""The server's own disk: whether there is room is looked at in a loop, and waited for by what can't go on without."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from app.disk import DATA_SETTING, fault_somewhere, is_disk_fault, require_room, room_in
from app.domain.errors import DiskUnavailable, TransientError
from app.domain.room import Level, Room, builds_wait, little_room
from app.runtime.ports import Clock
from app.store.database import StoreUnavailable

log = logging.getLogger(__name__)
LOOK_SECONDS, ASKED_EVERY_SECONDS = 5.0, 1.0
SAID_EVERY, ALARM_SAID_EVERY = timedelta(minutes=1), timedelta(hours=1)
WAITED_FOR = (DiskUnavailable, StoreUnavailable)  # nothing is concluded from these

R = TypeVar("R")


@dataclass(frozen=True)
class Alarm:
    """Little is free in a directory; `sentence` says what that means, `builds_wait` what is said at builds."""

    level: Level
    sentence: str
    builds_wait: str


@dataclass
class Disk:
    """Safe to use from any thread. `directories` are those that nothing works without, `named` by settings other than
    JOBYARD_DATA.

    `engine_directory` returns where the container engine keeps what it builds, if that is on this machine: without room
    there builds wait, and that is all.
    """

    directories: Sequence[Path] = ()
    named: Mapping[Path, str] = field(default_factory=dict)
    pause_seconds: float = ASKED_EVERY_SECONDS
    engine_directory: Callable[[], str] = str
    refusal: str = ""  # why nothing new is taken on, in a sentence; empty while there is room
    rooms: Mapping[Path, Room] = field(default_factory=dict)  # as last looked at; without those that can't be
    alarm: Alarm | None = None  # of the directory with the least room, if any has little
    _suspects: dict[Path, DiskUnavailable] = field(default_factory=dict)  # where something else failed
    _said_at: datetime | None = None
    _said_level: Level = Level.ENOUGH  # of what was said last: what is worse is said at once
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def trouble(self) -> str:
        """Return what is amiss, in a sentence; empty if nothing is."""
        return self.refusal or next((str(each) for each in list(self._suspects.values())), "")

    def step(self, clock: Clock) -> float:
        """Look again, and say now and then what is amiss; returns the seconds until the next look is due."""
        faults = (_look(each, self._setting(each)) for each in self.directories)
        self.refusal = next((str(fault) for fault in faults if fault is not None), "")
        self.alarm = self._least_room()
        for suspect, before in list(self._suspects.items()):
            found = _look(suspect, before.setting)
            with self._lock:
                if found is not None:
                    self._suspects[suspect] = found
                else:
                    del self._suspects[suspect]
        self._say(clock.now())
        return self.pause_seconds if self.trouble else LOOK_SECONDS

    def _setting(self, directory: Path) -> str:
        return self.named.get(directory, DATA_SETTING)

    @property
    def builds_wait(self) -> str:
        """Why no build begins, in a sentence to be stored; empty if they may."""
        alarm = self.alarm
        return alarm.builds_wait if alarm is not None and alarm.level >= Level.SHORT else ""

    def _least_room(self) -> Alarm | None:
        engine = self.engine_directory()
        places = [(each, self._setting(each)) for each in self.directories]
        if engine and Path(engine).is_dir():
            places.append((Path(engine), ""))
        self.rooms = {place: room for place, _ in places if (room := room_in(place)) is not None}
        alarms = [
            Alarm(room.level, little_room(place, name, room), builds_wait(place, name, room))
            for place, name in places
            if (room := self.rooms.get(place)) is not None and room.level > Level.ENOUGH
        ]
        return max(alarms, key=lambda alarm: alarm.level, default=None)

    def failed(self, error: TransientError) -> None:
        """Something could not be written: no more work is begun until a look finds that it can."""
        if isinstance(error, DiskUnavailable):
            with self._lock:
                self._suspects[Path(error.directory)] = error

    def seen_in(self, error: Exception) -> Exception:
        """The same, or the fault of the disk that it comes from; that has `failed` then."""
        if isinstance(error, OSError) and is_disk_fault(error):
            error = fault_somewhere(error, self.directories)
        if isinstance(error, DiskUnavailable):
            self.failed(error)
        return error

    def require_room(self) -> None:
        """Raises DiskUnavailable while nothing new is taken on."""
        if self.refusal:
            raise DiskUnavailable(self.directories[0], DATA_SETTING, self.refusal)

    def pause(self) -> None:
        threading.Event().wait(self.pause_seconds)

    def patiently(self, what: str, do: Callable[[], R]) -> R:
        """Do it, again and again until there is room and the store answers."""
        is_told = False
        while True:
            try:
                return do()
            except WAITED_FOR as error:
                self.failed(error)
                if not is_told:
                    log.warning("%s waits: %s", what, error)
                is_told = True
            self.pause()

    def _say(self, now: datetime) -> None:
        said = self.trouble or (self.alarm.sentence if self.alarm else "")
        level = Level.SCARCE if self.trouble else self.alarm.level if self.alarm else Level.ENOUGH
        every = SAID_EVERY if self.trouble else ALARM_SAID_EVERY
        if not said:
            if self._said_at is not None:
                log.warning("there is room on the disk again: work goes on")
            self._said_at, self._said_level = None, level
        elif self._said_at is None or level > self._said_level or abs(now - self._said_at) >= every:
            log.warning(said)
            self._said_at, self._said_level = now, level


def _look(directory: Path, setting: str) -> DiskUnavailable | None:
    try:
        require_room(directory, setting)
    except DiskUnavailable as error:
        return error
    return None
