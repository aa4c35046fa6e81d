"""Whose an image is that was built here."""

from __future__ import annotations

from sqlmodel import col, select

from app.store.database import Tx
from app.store.schema import BuildRow


def image_made(
    tx: Tx, project_id: int, *, build_id: int | None = None, digest: str | None = None
) -> tuple[str, str] | None:
    """Image and digest of a build of a project, by its id or by the digest; None if there is none with an image."""
    query = select(BuildRow.image, BuildRow.digest).where(BuildRow.project_id == project_id)
    query = query.where(BuildRow.id == build_id if digest is None else BuildRow.digest == digest)
    for image, its_digest in tx.exec(query.order_by(col(BuildRow.id).desc()).limit(1)):
        return (image, its_digest) if image and its_digest else None
    return None


def projects_of_image(tx: Tx, digest: str) -> frozenset[int]:
    """The projects that have a build of an image: several where they made the very same."""
    return frozenset(tx.exec(select(BuildRow.project_id).where(BuildRow.digest == digest)))
