"""What a full ref name stands for: a branch, a tag, the head of a pull request, an entry of a merge queue."""

from __future__ import annotations

import re

from app.domain.events import BRANCH_PREFIX, TAG_PREFIX

_REQUESTED = re.compile(r"refs/(?P<kind>pull|merge-requests)/(?P<number>[0-9]{1,18})/head")
_QUEUED = re.compile(
    rf"{BRANCH_PREFIX}gh-readonly-queue/(?P<base>.+)/pr-(?P<number>[0-9]+)-[0-9a-f]{{40,64}}"
)
PROPOSALS = ("refs/pull/", "refs/merge-requests/", f"{BRANCH_PREFIX}gh-readonly-queue/")
"""How the refs begin of commits that are only proposed for a branch."""
_WORDS = {"pull": "pull request", "merge-requests": "merge request"}


def tag_of(ref: str) -> str | None:
    """The name of a tag; None for any other ref."""
    return ref.removeprefix(TAG_PREFIX) if ref.startswith(TAG_PREFIX) else None


def queued_for(ref: str) -> str | None:
    """The branch that an entry of GitHub's merge queue is to be merged into; None for any other ref."""
    found = _QUEUED.fullmatch(ref)
    return None if found is None else found["base"]


def is_proposal(ref: str) -> bool:
    """Whether it is only proposed for a branch: such a commit is built for its status, and neither deployed nor run."""
    return ref.startswith(PROPOSALS)


def named(ref: str) -> str:
    """What people call a ref: `main`, `tag v1.2`, `pull request 7`, or the ref itself."""
    requested, queued = _REQUESTED.fullmatch(ref), _QUEUED.fullmatch(ref)
    if requested is not None:
        return f"{_WORDS[requested['kind']]} {requested['number']}"
    if queued is not None:
        return f"pull request {queued['number']} in the merge queue of {queued['base']}"
    tag = tag_of(ref)
    return f"tag {tag}" if tag is not None else ref.removeprefix(BRANCH_PREFIX)
