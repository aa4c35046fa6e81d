"""`jobyard logs --search`: the lines of a log that say something, found on the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.cli.answers import LogMatch
    from app.cli.client import Api

_AT_ONCE = 1000  # lines, the most that the server gives


def print_matches(api: Api, where: str, wanted: Mapping[str, object], *, as_json: bool) -> None:
    """Print each line after its number, of a run also its attempt's: `2:1234: text`; or as JSON, one line each."""
    import json

    from app.cli.output import say

    count = 0
    for match in _matches(api, where, wanted):
        count += 1
        number = f"{match['line']}:" if match["attempt"] is None else f"{match['attempt']}:{match['line']}:"
        print(json.dumps(match, ensure_ascii=False) if as_json else f"{number} {match['text']}", flush=True)
    if not count:
        say("No line was found.")


def _matches(api: Api, where: str, wanted: Mapping[str, object]) -> Iterator[LogMatch]:
    after = None
    while True:
        part = api.get(f"{where}/search", limit=_AT_ONCE, after=after, **wanted)
        yield from part["matches"]
        if part["complete"]:
            return
        after = part["next"]
