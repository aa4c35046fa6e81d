"""Names of runs: drawn by chance, so that two may turn out the same."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import count

from sqlmodel import select

from app.store.database import Tx
from app.store.schema import RunRow


def unlike_any(tx: Tx, name: str, given: Set[str] = frozenset()) -> str:
    """The name as it is if no run has it and it isn't `given` either, else with the first number that makes it free."""
    return next(each for each in _numbered(name) if each not in given and not _is_taken(tx, each))


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"


def _is_taken(tx: Tx, name: str) -> bool:
    return tx.exec(select(RunRow.id).where(RunRow.name == name)).first() is not None
