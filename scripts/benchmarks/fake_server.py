"""A server whose engine is in memory, and ends each container at once: `python -m scripts.benchmarks.fake_server`."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from app.bootstrap import parts
from app.cli import main
from app.engines.base import ContainerSpec, Handle
from app.engines.fake import FakeEngine, World
from tests.support.server import JobyardServer

GATE = "bench_gate"  # a setting of these servers alone


class ForgetfulCounter(Counter[str]):
    """Counts nothing: a fake engine that remembers every container would be what grows."""

    def __setitem__(self, key: str, value: int) -> None: ...


class GatedEngine(FakeEngine):
    """Starts nothing before a file is there, if one is named."""

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:
        gate = os.environ.get(f"JOBYARD_{GATE.upper()}")
        while gate and not Path(gate).exists():
            time.sleep(0.01)
        return super().start(spec, key, token, is_new=is_new)


class FakeEngineServer(JobyardServer):
    program = "scripts.benchmarks.fake_server"


def make_engine(_settings: Any, _installation: Any, clock: Any, epoch: str = "", **_more: Any) -> FakeEngine:
    world = World()
    world.starts = ForgetfulCounter()
    return GatedEngine(clock.now, world, epoch=epoch)


if __name__ == "__main__":
    parts.make_engine = make_engine  # type: ignore[assignment]
    main()
