"""Strangers on the wire, until the process is ended: `python -m scripts.benchmarks.strangers PORT KIND`.

`heads` are 200 clients that never end the head of their request, `bodies` 64 that never end a body of 24 MiB, `logins`
8 that try passwords one after the other. Who is turned away comes again, after a moment.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from contextlib import suppress

HEADS, BODIES, LOGINS = 200, 64, 8
BODY_BYTES = 24 * 2**20
PAUSE_SECONDS = 2.0  # between two pieces, and before somebody comes again
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
BODY = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
LOGIN = (
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
)
GUESSES = itertools.count()


async def drip(port: int, head: bytes, piece: bytes) -> None:
    """Send a head, then a piece every now and then, until the server has enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        writer.write(head)
        while not reader.at_eof() and not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    if not await reader.read(1000):
                        break
    writer.close()


async def guess(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    form = b"name=user-%d&password=a+wrong+password&next=/" % next(GUESSES)
    writer.write(LOGIN % (len(form), form))
    await reader.read()
    writer.close()


async def again_and_again(kind: str, port: int) -> None:
    while True:
        with suppress(OSError):
            if kind == "logins":
                await guess(port)
                continue
            await (
                drip(port, HEAD, b"X-A: 1\r\n")
                if kind == "heads"
                else drip(port, BODY % BODY_BYTES, b"x" * 65536)
            )
        await asyncio.sleep(PAUSE_SECONDS)


async def main(port: int, kind: str) -> None:
    number = {"heads": HEADS, "bodies": BODIES, "logins": LOGINS}[kind]
    await asyncio.gather(*(again_and_again(kind, port) for _ in range(number)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
