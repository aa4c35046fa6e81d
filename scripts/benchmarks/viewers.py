"""`viewers`: 100 browsers follow one log of 1,000 lines a second; how late each line is at each, and what is lost.

The delay is from the write in the server to the arrival of the event, so it has the reading side's own share, too (an
eighth of one core). Server and viewers need a core each: on two cores with other work on them p99 tells of that work.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from array import array
from typing import Any
from urllib.parse import urlencode, urlsplit

VIEWERS, LINES_A_SECOND, SECONDS = 100, 1_000, 10
BOUND_MS = 50.0
_LINE = re.compile(rb"line (\d+) at (\d+) and")
_LONGEST = 200  # bytes of a line that may have come in two parts


def run() -> dict[str, Any]:
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks.viewed_log", str(LINES_A_SECOND), str(SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address, cookie, run_id = server.stdout.readline().split()
        delays, lost = asyncio.run(_all_viewers(address, cookie, run_id, server.stdin))
        server.stdin.close()
    ordered = sorted(delays)
    p99 = ordered[int(len(ordered) * 0.99)] if ordered else float("inf")
    return {
        "benchmark": "viewers",
        "rows": [
            {
                "what": "a line at 100 viewers, p99",
                "n": len(ordered),
                "ours": f"{p99:.1f} ms (p50 {ordered[len(ordered) // 2]:.1f})",
                "theirs": f"{BOUND_MS:g} ms at most",
                "ratio": round(p99 / BOUND_MS, 3),
                "goal": "<= 1",
            },
            {
                "what": "lines that a viewer missed",
                "n": VIEWERS * LINES_A_SECOND * SECONDS,
                "ours": f"{lost}",
                "theirs": "none",
                "ratio": float(lost),
                "goal": "<= 0",
            },
        ],
    }


async def _all_viewers(address: str, cookie: str, run_id: str, go: Any) -> tuple[array[float], int]:
    """(the delay of each line at each viewer in milliseconds, how many didn't come in their order)."""
    delays: array[float] = array("d")
    connected = [asyncio.Event() for _ in range(VIEWERS)]
    watching = [asyncio.create_task(_view(address, cookie, run_id, delays, each)) for each in connected]
    await asyncio.gather(*(each.wait() for each in connected))
    go.write("\n")
    go.flush()
    seen = await asyncio.gather(*watching)
    return delays, sum(LINES_A_SECOND * SECONDS - each for each in seen)


async def _view(
    address: str, cookie: str, run_id: str, delays: array[float], connected: asyncio.Event
) -> int:
    """Follow to the end, as the pages of a browser do, and return how many lines came, in order and once."""
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    path = f"/streams?{urlencode({'a': f'/runs/{run_id}/follow?attempt=1&from=0:1'})}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\nCookie: {cookie}\r\n\r\n".encode())
    await reader.readuntil(b"It begins.")
    connected.set()
    rest, following = b"", 0
    while chunk := await reader.read(65536):
        now, data, end = time.monotonic_ns(), rest + chunk, 0
        for found in _LINE.finditer(data):
            if int(found[1]) == following:
                following += 1
                delays.append((now - int(found[2])) / 1e6)
            end = found.end()
        if b"event: a:over" in data:
            break
        rest = data[max(end, len(data) - _LONGEST) :]
    writer.close()
    return following
