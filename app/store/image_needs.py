"""Which images have to stay: what is deployed, queued, running or gone back to, and the newest of each source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, or_, select

from app.domain.documents import Stored
from app.domain.held_images import NeededImages, named_in
from app.domain.references import Ours
from app.store import needs
from app.store.database import Tx
from app.store.history import PAGE, ROLLBACKS, pages
from app.store.schema import BuildRow, BuildSourceRow, DeploymentRow, JobRow, RunRow, SourceRow

KEPT_PER_SOURCE = 10  # succeeded builds
OPEN = needs.OPEN


def needed(tx: Tx, ours: Ours, going: Collection[int] = frozenset()) -> NeededImages:
    """What has to stay when the builds that are `going` are no more."""
    builds = {*needs.deployed(tx, ours), *_newest_of_sources(tx).difference(going)}
    digests = set[str]()
    for each in (*_deployed(tx), *_of_deployments(tx)):
        builds.add(each.get("build_id") or 0)
        digests |= {each["digest"], each["image"]}
    for build_id, awaited, digest, image in tx.exec(
        select(RunRow.build_id, RunRow.awaited_build_id, RunRow.digest, RunRow.image).where(
            col(RunRow.status).in_(OPEN)
        )
    ):
        builds |= {build_id or 0, awaited or 0}
        digests |= {digest or "", image or ""}
    open_builds = select(BuildRow.id, BuildRow.rebuild_of).where(col(BuildRow.status).in_(OPEN))
    builds |= {each or 0 for row in tx.exec(open_builds) for each in row}
    newest = tx.exec(select(BuildRow.id).order_by(col(BuildRow.id).desc()).limit(1)).first()
    return NeededImages(builds, digests - {""}, _named(tx, builds), newest or 0)


def made(tx: Tx, digests: Collection[str]) -> Mapping[str, set[int]]:
    """The builds that made each of these."""
    found: dict[str, set[int]] = {}
    each = sorted(digests)
    for start in range(0, len(each), PAGE):
        some = each[start : start + PAGE]
        query = select(BuildRow.digest, BuildRow.id).where(col(BuildRow.digest).in_(some))
        for digest, build_id in tx.exec(query):
            found.setdefault(digest or "", set()).add(build_id)
    return found


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image of a build that is in the registry, as far as is known."""

    build_id: int
    project_id: int
    image: str
    digest: str


def pushed(tx: Tx, registry: str, after: int, limit: int) -> list[Pushed]:
    """The images below a place in a registry that were not removed from there, of builds after one, oldest first."""
    row = BuildRow
    query = select(row.id, row.project_id, row.image, row.digest).where(
        col(row.id) > after,
        row.status == "succeeded",
        col(row.image_removed_at).is_(None),
        col(row.image).startswith(f"{registry.rstrip('/')}/", autoescape=True),
    )
    found = tx.exec(query.order_by(col(row.id)).limit(limit))
    return [Pushed(id_, project, image or "", digest or "") for id_, project, image, digest in found]


def note_removed(tx: Tx, image: str, now: datetime) -> None:
    """The registry has the image of these builds no more."""
    same = update(BuildRow).where(col(BuildRow.image) == image, col(BuildRow.image_removed_at).is_(None))
    tx.connection().execute(same.values(image_removed_at=now))


def _newest_of_sources(tx: Tx) -> set[int]:
    found = set[int]()
    of_source = col(BuildSourceRow.build_id)
    for source_id in tx.exec(select(SourceRow.id)).all():
        query = select(BuildRow.id).join(BuildSourceRow, of_source == col(BuildRow.id))
        query = query.where(BuildSourceRow.source_id == source_id, BuildRow.status == "succeeded")
        found |= set(tx.exec(query.order_by(of_source.desc()).limit(KEPT_PER_SOURCE)))
    return found


def _deployed(tx: Tx) -> list[Stored]:
    query = select(JobRow.deployed).where(col(JobRow.deleted_at).is_(None))
    return [each for each in tx.exec(query) if each]


def _of_deployments(tx: Tx) -> Iterable[Stored]:
    """What deployments that are not over are of, and those that the newest ones left live."""
    row = DeploymentRow
    live = list[int]()
    for app_id in tx.exec(select(row.app_id).distinct()).all():
        query = select(row.id).where(row.app_id == app_id, row.status == "succeeded")
        live += tx.exec(query.order_by(col(row.id).desc()).limit(ROLLBACKS)).all()
    wanted = select(row.images, row.snapshot).where(or_(col(row.id).in_(live), col(row.status).in_(OPEN)))
    for images, snapshot in tx.exec(wanted):
        yield from (each for each in (*images.values(), *snapshot.values()) if each)


def _named(tx: Tx, builds: Collection[int]) -> frozenset[str]:
    texts = []
    for some in pages(sorted(builds)):
        query = select(BuildRow.dockerfile).where(col(BuildRow.id).in_(some))
        texts += [text for text in tx.exec(query) if text]
    return named_in(texts)
