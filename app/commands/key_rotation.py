"""Another key for all that is sealed, beside servers that go on working, and resumed wherever it was interrupted.

    old key ─begin▶ both keys open the ring, a new one of its keys seals ─finish▶ new key
                     └ every row is sealed anew, as often as it takes

Each step is a transaction, and each may be repeated: a rotation that was killed is gone on with by calling it again. A
server takes the new keys over with its next heartbeat, and says so (`claims.keys_of_servers`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from app.domain.documents import Stored
from app.domain.errors import Conflict
from app.domain.sealing import (
    Owner,
    Place,
    Reseal,
    of_app_hook,
    of_credential,
    of_job_draft,
    of_mailed_link,
    of_project_hook,
    of_source_hook,
    of_target,
    resealed_env,
    resealed_node,
    resealed_spec,
)
from app.secrets import (
    SecretBox,
    SecretKeyError,
    first_ring,
    key_id,
    next_ring,
    open_ring,
    openers,
    seal_ring,
)
from app.store import facts, sealed_rows
from app.store.database import Database
from app.store.sealed_rows import SealedRow

KEY_CHECK, KEY_RING = "key_check", "key_ring"
PAGE = 100  # rows that are looked at in one transaction
REMEMBERED = 10_000  # values: runs have copies of what their job has


def openers_now(db: Database) -> tuple[str, ...]:
    """The ids of the operator's keys that open the data, the newest last; none before the first rotation."""
    with db.read() as tx:
        stored = facts.read(tx, KEY_RING)
    return () if stored is None else openers(stored)


def begin(db: Database, old: bytes, new: bytes) -> None:
    """Let both keys open the ring, and a new one of its keys seal; nothing if that was done before.

    Raises SecretKeyError for an old key that doesn't open the data, Conflict for a rotation to a third key.
    """
    if key_id(old) == key_id(new):
        raise Conflict("The new key is the one that is in use: give another one.")
    with db.write() as tx:
        facts.hold(tx, KEY_CHECK)
        stored = facts.read(tx, KEY_RING)
        under_way = () if stored is None else openers(stored)
        if len(under_way) > 1:
            if under_way[-1] != key_id(new):
                raise Conflict("A rotation to another key is under way: finish it with that one first.")
            return
        ring = first_ring(old) if stored is None else open_ring(stored, old)
        facts.write(tx, KEY_RING, seal_ring(next_ring(ring), (old, new)))


def finish(db: Database, box: SecretBox, new: bytes) -> None:
    """Let the new key alone open the ring.

    To be called when nothing is sealed with former keys any more, and no server needs the old one.
    """
    with db.write() as tx:
        facts.hold(tx, KEY_CHECK)
        ring = open_ring(facts.read(tx, KEY_RING) or "{}", new)
        facts.write(tx, KEY_RING, seal_ring(ring.of_two(), (new,)))
        facts.write(tx, KEY_CHECK, box.key_check())


@dataclass
class Resealed:
    """How many rows of each table were sealed anew, and which hold something that no key opens: it stays as it is."""

    rows: Counter[str] = field(default_factory=Counter)
    unopened: list[str] = field(default_factory=list)


def reseal_all(db: Database, box: SecretBox) -> Resealed:
    """Seal everything with the current key that isn't yet."""
    result = Resealed()
    anew = lru_cache(REMEMBERED)(box.reseal)
    for table in sealed_rows.TABLES:
        after = 0
        while True:
            with db.read() as tx:
                ids = sealed_rows.ids_after(tx, table, after, PAGE)
            if not ids:
                break
            after = ids[-1]
            _reseal_rows(db, box, anew, table, ids, result)
    return result


def _reseal_rows(db: Database, box: SecretBox, anew: Reseal, table: str, ids: Any, result: Resealed) -> None:
    unopened: set[str] = set()
    with db.write() as tx:
        for row_id in ids:

            def reseal(sealed: str, place: Place, name: str = f"{table} {row_id}") -> str:
                if box.is_current(sealed):
                    return sealed
                try:
                    return anew(sealed, place)
                except SecretKeyError:
                    unopened.add(name)
                    return sealed

            row = sealed_rows.locked(tx, table, row_id)
            if row is not None and (changed := _changed(row, reseal)):
                sealed_rows.change(tx, row, changed)
                result.rows[table] += 1
    result.unopened += sorted(unopened)


def _changed(row: SealedRow, reseal: Reseal) -> Stored:
    """The columns that are another, with their values."""
    given = {name: value for name, value in row.values.items() if value}
    after = {name: _resealed(row, name, value, reseal) for name, value in given.items()}
    return {name: value for name, value in after.items() if value != given[name]}


def _resealed(row: SealedRow, column: str, value: Any, reseal: Reseal) -> Any:
    project_id, parent = row.project_id, row.parent
    match row.table, column:
        case "project", _:
            return reseal(value, of_project_hook(project_id))
        case "source", _:
            return reseal(value, of_source_hook(project_id, row.id))
        case "credential", _:
            return reseal(value, of_credential(project_id, row.id))
        case "github_app", _:
            return reseal(value, of_app_hook(project_id, row.id))
        case "secret_group", _:
            return resealed_env(value, Owner.group(project_id, row.id), reseal)
        case "job", "shared_env":
            return resealed_env(value, Owner.job(project_id, row.id), reseal)
        case "build", _:
            return resealed_env(value, Owner(project_id, f"build {row.id}"), reseal)
        case "flow", _:
            nodes = [resealed_node(node, project_id, row.id, reseal) for node in value.get("nodes", [])]
            return {**value, "nodes": nodes}
        case "mail", _:
            return reseal(value, of_mailed_link(parent))
        case "job_draft", _:
            return reseal(value, of_job_draft(row.id))
        case "notification_target", _:
            return reseal(value, of_target(project_id, row.id))
        case "flow_node", _:
            return resealed_node(value, project_id, parent, reseal)
        case _:  # the specifications of jobs and runs
            return resealed_spec(value, Owner.job(project_id, parent), reseal)
