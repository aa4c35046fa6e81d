"""A server whose engine is in memory, and ends each container at once: `python -m scripts.benchmarks.fake_server`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.bootstrap import parts
from app.cli import main
from app.engines.fake import FakeEngine, World
from tests.support.server import JobyardServer


class ForgetfulCounter(Counter[str]):
    """Counts nothing: a fake engine that remembers every container would be what grows."""

    def __setitem__(self, key: str, value: int) -> None: ...


class FakeEngineServer(JobyardServer):
    program = "scripts.benchmarks.fake_server"


def make_engine(_settings: Any, _installation: Any, clock: Any, epoch: str = "", **_more: Any) -> FakeEngine:
    world = World()
    world.starts = ForgetfulCounter()
    return FakeEngine(clock.now, world, epoch=epoch)


if __name__ == "__main__":
    parts.make_engine = make_engine  # type: ignore[assignment]
    main()
