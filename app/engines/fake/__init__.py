"""An engine in memory, told what to do: the whole contract of `base`, no sleeping, no real process.

    engine = FakeEngine(clock)
    engine.script("sha256:abc*", Script(output=[b"hello\\n"], exit_code=3))    # a pattern over image or key
    engine.script("run-7-1", Script(exit_code=None))                          # runs until told
    handle = engine.start(spec, "run-7-1", token=1)
    engine.emit("run-7-1", b"more"); engine.finish("run-7-1", 0)
    assert engine.starts("run-7-1") == 1

Without a script a container prints nothing and exits 0 at once. Several `FakeEngine`s may stand on one
`World`, as several servers do on one engine.
"""

from app.engines.fake.engine import FakeEngine
from app.engines.fake.world import Fault, Script, World

__all__ = ["FakeEngine", "Fault", "Script", "World"]
