"""The build of what was pushed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.commands.builds import as_for_strangers, build_env, key_of_build, place_of
from app.commands.continuous_delivery import cancel_superseded
from app.domain.build_parts import BuildTrigger, BuildTriggerType
from app.domain.events import BRANCH_PREFIX, Push, one_line
from app.domain.job.records import Job, Source
from app.domain.job.spec import BuildsInFlight
from app.runtime.ports import Names, Vault
from app.store import builds
from app.store.database import Tx
from app.store.deliveries import Delivery


def build_push(
    tx: Tx,
    names: Names,
    vault: Vault,
    delivery: Delivery,
    push: Push,
    source: Source,
    of_source: Sequence[Job],
    position: int,
    now: datetime,
) -> tuple[int, bool]:
    """Return the id of the build of the pushed commit, and whether it is an equal one that was still open."""
    assert push.commit is not None
    env, request = build_env(source, of_source), push.pull_request
    is_fork = request is not None and request.is_fork
    if is_fork:
        source, env = as_for_strangers(source, env)
    if push.is_tag:
        position = place_of(tx, source, BRANCH_PREFIX + source.branch, push.commit)
    key = key_of_build(vault, source, push.ref, push.commit, env)
    joined = builds.join_equal(tx, key, source.project_id, source.id, position)
    if joined is not None:
        _drop_superseded(tx, names, source, joined.id, now)
        return joined.id, True
    type_ = BuildTriggerType.PUSH if request is None else BuildTriggerType.PULL_REQUEST
    build_id = builds.enqueue(
        tx,
        project_id=source.project_id,
        source_id=source.id,
        key=key,
        url=source.url,
        ref=push.ref,
        sha=push.commit,
        config=source.build,
        trigger=BuildTrigger(type_, push.pusher, delivery.guid, is_fork=is_fork),
        now=now,
        env=env,
        credential_id=source.credential_id,
        position=position,
        message=one_line(push.head_message),
        author=push.pusher,
    )
    _drop_superseded(tx, names, source, build_id, now)
    return build_id, False


def _drop_superseded(tx: Tx, names: Names, source: Source, build_id: int, now: datetime) -> None:
    if source.builds_in_flight is BuildsInFlight.LATEST:
        cancel_superseded(tx, names, source, builds.with_id(tx, build_id), now)
