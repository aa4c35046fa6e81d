"""The JavaScript libraries that pages use: fetched by a lock file, so a source tree may be without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

WEB = Path(__file__).parent


def missing(web: Path = WEB) -> str:
    """What is missing and what that means, in two sentences for the server's log; empty if all are there."""
    names = [name for name in _expected(web) if not (web / "static/npm" / name).is_file()]
    if not names:
        return ""
    return (
        f"JavaScript libraries of the pages are missing ({', '.join(names)}): pages work, but don't change by "
        "themselves, and have no shell. In a source tree scripts/setup fetches them; a wheel brings them along."
    )


def _expected(web: Path) -> Iterator[str]:
    """The files below static/npm: their folder is the package without its scope (see `javascript/backend.py`)."""
    for package, files in json.loads((web / "javascript/package.json").read_text())["copy"].items():
        for file in sorted({*files} - {"LICENSE"}):
            yield f"{package.rpartition('/')[2]}/{Path(file).name}"
