"""Where a commit stands that somebody chose to build: whether it is on the branch, and older than what is deployed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.checkout import Checkouts, GitStopped, StopSignal
from app.commands.remote_access import git_access
from app.domain.builds import Build
from app.domain.errors import JobyardError
from app.domain.events import repo_key
from app.domain.job.records import Deployed
from app.domain.pushes import Containment, Movement, Standing, standing_of, to_ask_about
from app.runtime.disk import WAITED_FOR
from app.runtime.ports import Vault
from app.store import builds, jobs, movements
from app.store.database import Database, Tx

log = logging.getLogger(__name__)


def ask_git(
    db: Database, checkouts: Checkouts, vault: Vault, build: Build, sha: str, *, should_stop: StopSignal
) -> Containment:
    """Return what the pushes that are known don't tell; of what Git can't say either nothing is claimed.

    Raises GitStopped, DiskUnavailable, StoreUnavailable.
    """
    with db.read() as tx:
        history, deployed, built = _history(tx, build), _deployed(tx, build), _built(tx, build)
        credential = git_access(tx, vault, build.credential_id, build.url)
    placed = [each.after for each in history if each.after is not None]
    others = to_ask_about(sha, history, deployed) | built.keys() - {sha}
    if sha not in placed:
        others |= set(placed)
    try:
        head = None
        if sha not in placed:
            head = checkouts.fetch(
                build.url, sha=None, ref=build.ref, credential=credential, should_stop=should_stop
            )
        return Containment(
            None if head is None else checkouts.is_ancestor(build.url, sha, head),
            {each: checkouts.is_ancestor(build.url, sha, each) for each in others},
        )
    except (GitStopped, *WAITED_FOR):
        raise
    except JobyardError as error:
        log.warning("where %s stands on %s is unknown: %s", sha, build.ref, error)
        return Containment()


def standing(tx: Tx, build: Build, sha: str, git: Containment) -> Standing:
    """Decide by the movements and deploys as they are now, which may be more than when Git was asked."""
    return standing_of(
        sha,
        build.position,
        _history(tx, build),
        git,
        deployed=_deployed(tx, build),
        built=_built(tx, build),
    )


def _history(tx: Tx, build: Build) -> Sequence[Movement]:
    return movements.known(tx, build.project_id, repo_key(build.url), build.ref)


def _deployed(tx: Tx, build: Build) -> list[Deployed]:
    return [
        job.deployed
        for source_id in builds.sources_of(tx, build.id)
        for job in jobs.of_source(tx, source_id)
        if job.deployed is not None
    ]


def _built(tx: Tx, build: Build) -> dict[str, int]:
    """The latest commits of the branch that have an image, with their positions."""
    latest = [builds.latest_succeeded(tx, source, build.ref) for source in builds.sources_of(tx, build.id)]
    return {each.sha: each.position for each in latest if each is not None and each.sha is not None}
