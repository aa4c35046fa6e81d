"""What the command `jobyard` begins with, in a wheel: a package of its own name beside `app` and `builders`.

Those names are common, and a directory that PYTHONPATH names, such as a repository's, may have an `app` of its own. So
before anything is imported the two are taken from where this package lies.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

OURS = ("app", "builders")


def main() -> None:
    """Run the command, whatever else is called `app`."""
    _take_ours(Path(__file__).parent.parent)
    from app.cli import main as run

    run()


def _take_ours(where: Path) -> None:
    """Import the two packages from that directory; in a source tree they aren't there, and are found as usual."""
    for name in OURS:
        spec = PathFinder.find_spec(name, [str(where)])
        if spec is not None and spec.loader is not None:
            sys.modules[name] = module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
