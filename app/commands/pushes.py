"""What a push means for a source: where it stands on its branch, and whether it is built."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.commands.change_sets import needs_git
from app.domain import comparing
from app.domain.decisions import Go, Skip
from app.domain.errors import InvalidValue
from app.domain.events import PULL_REQUEST, Push
from app.domain.job.records import Job, Source
from app.domain.paths import Matching
from app.domain.pushes import Changes, Movement, is_repeated, position_of, told_before
from app.domain.rules import should_build
from app.forges.base import Forge
from app.store import builds, movements
from app.store.database import Tx
from app.store.deliveries import Delivery


def push_of(delivery: Delivery, forges: Mapping[str, Forge]) -> Push:
    """What a stored delivery tells of. Raises InvalidValue."""
    if delivery.forge == comparing.REMOTE:
        return comparing.from_body(delivery.body)
    forge, payload = forges[delivery.forge], json.loads(delivery.body)
    if delivery.event != PULL_REQUEST:
        return forge.parse_push(payload)
    push = forge.parse_pull_request(payload)
    if push is None or push.pull_request is None:
        raise InvalidValue(
            "action", "The payload tells of nothing that changes what a pull request would build."
        )
    is_allowed = push.pull_request.is_allowed or delivery.approved_by is not None
    return replace(push, pull_request=replace(push.pull_request, is_allowed=is_allowed))


def git_decides(
    tx: Tx, push: Push, source: Source, of_source: Sequence[Job], delivery: Delivery | None
) -> bool:
    """Whether what only Git knows decides about a source: everything else lets the push build it."""
    if not needs_git(push, source):
        return False
    _, repeated = place_of(tx, push, source, delivery)
    return isinstance(verdict_on(push, source, of_source, Changes(), repeated=repeated), Go)


def place_of(
    tx: Tx,
    push: Push,
    source: Source,
    delivery: Delivery | None = None,
    contained_in: frozenset[str] = frozenset(),
) -> tuple[Movement, bool]:
    """Where a push stands among the branch's movements, and whether the source has taken it from another delivery.

    The heads of a pull request are no movements: one that has a build is told again, unless this is a replay.
    """
    if push.pull_request is not None:
        position = 0 if delivery is None else delivery.id
        is_built = builds.is_of_commit(tx, source.id, push.ref, push.after or "")
        is_replay = delivery is not None and delivery.replays > 0
        return Movement(None, push.after, position), is_built and not is_replay
    told = None if delivery is None else movements.of_delivery(tx, delivery.id, source)
    if told is not None and told[1]:
        return told[0], False  # a replay
    before, after = push.before, push.after
    taken = movements.taken(tx, source, push.ref)
    is_known = comparing.is_found_before if push.found_at is None else comparing.is_taken
    if is_repeated(taken, before, after) or is_known(taken, before, after):
        return taken[0], True
    if told is not None:
        return told[0], False
    history = movements.known(tx, source.project_id, source.repo_key, push.ref)
    again = told_before(history, taken, before, after)
    if again is not None:
        return again, False
    return Movement(before, after, position_of(history, before, after, contained_in)), False


def verdict_on(
    push: Push,
    source: Source,
    of_source: Sequence[Job],
    changes: Changes,
    *,
    repeated: bool,
    built: int | None = None,
    matching: Matching | None = None,
) -> Go | Skip:
    """Whether the push builds the source. A job's own source is held back with it, a build service is not."""
    paused = source.name is None and all(job.paused for job in of_source)
    return should_build(
        push, source, paused=paused, changes=changes, repeated=repeated, built=built, matching=matching
    )
