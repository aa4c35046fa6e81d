"""What backups there are, asked of a directory or bucket while a request waits: within a bound of time and number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.domain.backups import StoredBackup
from app.domain.errors import UserError
from app.runtime.threads import with_deadline

SECONDS = 5.0
AT_ONCE = 2


@dataclass(frozen=True)
class Backups:
    """Those that are there, newest first; `sentence` says why that is not known."""

    stored: Sequence[StoredBackup] = ()
    sentence: str = ""


@dataclass(frozen=True)
class BackupList:
    """`ask` says what is at the place `to`. It may go on for nobody after `seconds`; so few do at once."""

    ask: Callable[[], Sequence[StoredBackup]]
    to: str
    seconds: float = SECONDS
    turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))

    def look(self) -> Backups:
        if not self.turns.acquire(blocking=False):
            return Backups(sentence=f"{self.to} is being asked for its backups already: reload the page.")
        try:
            return Backups(with_deadline(self.seconds, "backups", self._asked))
        except TimeoutError:
            return Backups(sentence=f"{self.to} did not say within {self.seconds:g} s which backups it has.")
        except UserError as error:
            return Backups(sentence=str(error))

    def _asked(self) -> Sequence[StoredBackup]:
        try:
            return self.ask()
        finally:
            self.turns.release()
