"""Whose an image is, and what of one project no other's builds may share."""

from __future__ import annotations

from app.domain.builds import Build
from app.domain.errors import InvalidValue
from app.domain.references import Meaning, Means, Ours, may_use, meaning_of, refusal
from app.runtime.ports import IMAGE_PURPOSE, SCOPE_PURPOSE, Vault
from app.store import builds, built_images, projects
from app.store.database import Tx

SCOPE_LENGTH, TAG_LENGTH = 40, 20  # hexadecimal digits


def require_usable(tx: Tx, ours: Ours, project_id: int, reference: str, field: str = "image") -> None:
    """Raises InvalidValue for a reference that, as it is written, means an image of another project."""
    meaning = meaning_of(reference, ours)
    if meaning is not None and not may_use(meaning, project_id, _owners(tx, meaning)):
        raise InvalidValue(field, f"{field} {refusal(meaning, reference)}.")


def own_image(tx: Tx, ours: Ours, project_id: int, reference: str) -> tuple[str, str] | None:
    """Image and digest of the build that a reference means by itself; None for one that is looked up elsewhere."""
    meaning = meaning_of(reference, ours)
    if meaning is None or meaning.means not in (Means.BUILD, Means.ID):
        return None
    if meaning.means is Means.ID:
        return built_images.image_made(tx, project_id, digest=meaning.value)
    return built_images.image_made(tx, project_id, build_id=int(meaning.value or 0))


def require_own(tx: Tx, project_id: int, reference: str, digest: str) -> None:
    """Raises InvalidValue if what a reference turned out to be was built for another project, and not for this one."""
    meaning = Meaning(Means.DIGEST, digest)
    if not may_use(meaning, project_id, _owners(tx, meaning)):
        raise InvalidValue("image", f"image {refusal(meaning, reference)}.")


def _owners(tx: Tx, meaning: Meaning) -> frozenset[int]:
    match meaning.means:
        case Means.ID | Means.DIGEST:
            return built_images.projects_of_image(tx, meaning.value)
        case Means.BUILD:
            owner = builds.project_of(tx, int(meaning.value)) if meaning.value else None
            return frozenset() if owner is None else frozenset({owner})
        case Means.PROJECT:
            project = projects.find(tx, meaning.value)
            return frozenset() if project is None else frozenset({project.id})
        case Means.PART_OF_ID:
            return frozenset()


def cache_scope(tx: Tx, vault: Vault, build: Build) -> str:
    """What the builds of a project have in common, that nobody else can guess, nor a later project of the same id.

    One of a fork has nothing in common with any other.
    """
    alone = f" {build.id}" if build.trigger.is_fork else ""
    return vault.digest(f"{_identity(tx, build.project_id)}{alone}", SCOPE_PURPOSE)[:SCOPE_LENGTH]


def image_tag(tx: Tx, vault: Vault, project_id: int, build_id: int) -> str:
    """The tag of a build's image on the engine, which says whose it is to us alone and can't be guessed."""
    secret = vault.digest(f"{_identity(tx, project_id)} {build_id}", IMAGE_PURPOSE)
    return f"build-{build_id}-{secret[:TAG_LENGTH]}"


def _identity(tx: Tx, project_id: int) -> str:
    return f"{project_id} {projects.with_id(tx, project_id).created_at.isoformat()}"
