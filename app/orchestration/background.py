"""Work that goes on beside a loop: a thread for each piece, which must not hold up the process's end."""

from __future__ import annotations

import threading
from collections.abc import Callable

Background = Callable[[str, Callable[[], None]], None]


def in_thread(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()
