"""A server in a process of its own with one run, whose log grows at a steady pace once a line comes on standard input.

It prints its address, a session's cookie and the run's id; when all is written it ends the run, and itself at the end
of its input. Each line carries its number and the time of the machine's monotonic clock, in nanoseconds.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from app.domain.redaction import Redactor
from app.logs import LogWriter, Stream
from app.web.principal import COOKIE
from tests.support.browser import serving
from tests.support.clock import Clock
from tests.support.seed import SUCCEEDED, world
from tests.support.server_context import ADMIN_TOKEN

EVERY_SECONDS = 0.01


def main(lines_a_second: int, seconds: int) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        world(Path(name) / "world", Clock(at=None)) as made,
        serving(made) as address,
    ):
        run = made.run(made.job("talking"), datetime.now(UTC), log=b"It begins.")
        with httpx2.Client(base_url=address, headers={"Origin": address}) as http:
            http.post("/login", data={"name": "", "password": ADMIN_TOKEN})
            print(address, f"{COOKIE}={http.cookies[COOKIE]}", run, flush=True)
        gc.freeze()  # as the server does when it has started
        sys.stdin.readline()
        with made.log_storage.write_attempt(run, 1, Redactor([])) as writer:
            write(writer, lines_a_second, seconds)
        made.end_attempt(run, SUCCEEDED, datetime.now(UTC))
        sys.stdin.read()


def write(writer: LogWriter, lines_a_second: int, seconds: int) -> None:
    """Write some lines together every 10 ms; a pause of the machine's is made up for."""
    begun, number = time.monotonic(), 0
    while number < lines_a_second * seconds:
        due = min(int((time.monotonic() - begun) * lines_a_second), lines_a_second * seconds)
        stamp = time.monotonic_ns()
        text = b"".join(
            b"line %d at %d and some more words of usual length\n" % (n, stamp) for n in range(number, due)
        )
        if text:
            writer.write(datetime.now(UTC), Stream.STDOUT, text)
        number = max(number, due)
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
