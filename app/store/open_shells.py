"""Which shells are open on each server, by the entries of the audit log that tell of their opening.

A server that is killed tells nobody of their end, so whoever takes over from it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from app.domain.audit import Action, Entry
from app.store import audit, facts
from app.store.database import Tx

NAME = "open_shells"
LEFT = "The server that it was open on has died, and told nobody when the shell ended."


def opened(tx: Tx, server: str, entry: Entry) -> Entry:
    """Tell the audit log of the opening; returns the entry with its id."""
    id_ = audit.add(tx, entry)
    _change(tx, server, lambda open_: [*open_, id_])
    return replace(entry, id=id_)


def closed(tx: Tx, server: str, opening: Entry, entry: Entry) -> None:
    """Tell the audit log of the end of what `opening` tells of."""
    audit.add(tx, entry)
    _change(tx, server, lambda open_: [each for each in open_ if each != opening.id])


def close_left(tx: Tx, servers: Collection[str], now: datetime) -> None:
    """Tell the audit log of the end of what was open on servers that have died."""
    for server in servers:
        for id_ in _open(tx, server):
            opening = audit.find(tx, id_)
            if opening is not None:
                detail = f"{opening.detail} {LEFT}"
                audit.add(tx, replace(opening, at=now, action=Action.RUN_CLOSE_SHELL, detail=detail))
        facts.forget(tx, _name(server))


def _change(tx: Tx, server: str, to: Callable[[list[int]], list[int]]) -> None:
    facts.hold(tx, _name(server))
    open_ = to(_open(tx, server))
    if open_:
        facts.write(tx, _name(server), json.dumps(open_))
    else:
        facts.forget(tx, _name(server))


def _open(tx: Tx, server: str) -> list[int]:
    found: list[int] = json.loads(facts.read(tx, _name(server)) or "[]")
    return found


def _name(server: str) -> str:
    return f"{NAME}:{server}"
