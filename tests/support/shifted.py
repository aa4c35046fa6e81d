"""A server whose clock can be set while it runs, without touching the machine's: `python -m tests.support.shifted`.

The seconds that its clock is ahead are the text of the file that SHIFT_FILE names.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.cli import main
from app.system import SystemClock
from tests.support.server import JobyardServer

FILE = "SHIFT_FILE"


class ShiftedServer(JobyardServer):
    program = "tests.support.shifted"

    def __init__(self, data: Path, **settings: str) -> None:
        super().__init__(data, **settings)
        self._file = data.with_name("clock")
        self._file.write_text("0")

    def set_by(self, seconds: int) -> None:
        ahead = int(self._file.read_text()) + seconds
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(ahead))
        fresh.rename(self._file)

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), FILE: str(self._file)}


def _now(_clock: Any) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=int(Path(os.environ[FILE]).read_text()))


if __name__ == "__main__":
    SystemClock.now = _now  # type: ignore[method-assign]
    main()
