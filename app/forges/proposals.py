"""Pull requests as GitHub and Gitea tell of them, in a payload of one shape."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.events import PullRequest, Push, one_line
from app.forges.base import BadPayload, Forge
from app.forges.reading import full_ref, members, sha, text


def read_pull_request(forge: Forge, body: Mapping[str, object], *, is_labelled: bool) -> Push:
    """Return the head of the pull request; one whose repository was deleted comes from a fork. Raises `BadPayload`."""
    request = members(body.get("pull_request"), "pull_request")
    head, base = (members(request.get(end), f"pull_request.{end}") for end in ("head", "base"))
    user = members(request.get("user") or {}, "pull_request.user")
    branch = text(base.get("ref"), "pull_request.base.ref")
    full_ref(f"refs/heads/{branch}", "pull_request.base.ref")
    pull_request = PullRequest(branch, is_fork=_is_fork(head, base), is_allowed=is_labelled)
    return Push(
        forge=forge.name,
        repository=forge.repository_of(body),
        ref=f"refs/pull/{number(request.get('number'), 'pull_request.number')}/head",
        before=None,
        after=sha(head.get("sha"), "pull_request.head.sha"),
        deleted=False,
        created=False,
        forced=False,
        commits=(),
        head_message=text(request.get("title", ""), "pull_request.title"),
        changed_files=None,
        pusher=one_line(text(user.get("login") or "", "pull_request.user.login")),
        compare_url=text(request.get("html_url") or "", "pull_request.html_url"),
        pull_request=pull_request,
    )


def number(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**15:
        raise BadPayload(field, f"The payload's {field} must be a number greater than 0.")
    return value


def _is_fork(head: Mapping[str, object], base: Mapping[str, object]) -> bool:
    """Return whether the head is of another repository; one that can't be told is."""
    ours = members(base.get("repo"), "pull_request.base.repo")
    theirs = head.get("repo")
    if not isinstance(theirs, dict) or ours.get("full_name") is None:
        return True
    return theirs.get("full_name") != ours["full_name"]
