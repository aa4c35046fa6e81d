"""Whether a source builds what was pushed by its ref alone: its branch, and tags and pull requests where it says so."""

from __future__ import annotations

from app.domain.decisions import Skip
from app.domain.events import Push
from app.domain.job.records import Source
from app.domain.paths import matches
from app.domain.refs import named, queued_for, tag_of

LABEL = "jobyard-build"
"""The label by which somebody who may set labels lets the commit of a fork be built that the pull request has then."""
UNTRUSTED = "As it comes from a fork it gets no secrets, submodules or LFS files, and shares no build cache."


def skip_for_ref(push: Push, source: Source) -> Skip | None:
    """Return why a source doesn't build this ref, None if it may."""
    if push.pull_request is not None:
        return _skip_for_pull_request(push, source)
    if push.is_tag:
        return _skip_for_tag(push, source)
    inputs = {"ref": push.ref, "tracked": source.branch}
    is_queued = source.build.pull_requests and queued_for(push.ref) == source.branch
    if push.branch != source.branch and not is_queued:
        return Skip("other_branch", f"{pushed(push)}: only {source.branch} is tracked.", inputs)
    if push.deleted or push.after is None:
        return Skip("deleted_ref", f"Branch {push.branch} was deleted: there is nothing to build.", inputs)
    return None


def pushed(push: Push) -> str:
    """Name a push, as a sentence begins with it."""
    commit = push.commit[:7] if push.commit else "nothing"
    if push.pull_request is not None:
        what = named(push.ref)
        return f"{what[0].upper()}{what[1:]} at {commit}"
    return f"Push of {commit} to {push.branch}" if push.branch else f"Push of {commit} of {push.ref}"


def builds_tag(source: Source, ref: str) -> bool:
    """Return whether a ref is a tag that a source builds."""
    tag, pattern = tag_of(ref), source.build.tags
    return tag is not None and pattern is not None and matches(pattern, tag)


def _skip_for_tag(push: Push, source: Source) -> Skip | None:
    inputs = {"ref": push.ref, "tracked": source.branch, "tags": source.build.tags}
    if source.build.tags is None:
        return Skip("tag", f"Push of {push.ref}: tags don't build.", inputs)
    if not builds_tag(source, push.ref):
        return Skip("tag", f"Push of {push.ref}: only tags that match {source.build.tags} build.", inputs)
    if push.deleted or push.after is None:
        return Skip("deleted_ref", f"Tag {tag_of(push.ref)} was deleted: there is nothing to build.", inputs)
    return None


def _skip_for_pull_request(push: Push, source: Source) -> Skip | None:
    request = push.pull_request
    assert request is not None
    inputs = {"ref": push.ref, "tracked": source.branch, "base": request.base, "sha": push.after}
    if not source.build.pull_requests:
        return Skip("pull_request", f"{pushed(push)}: pull requests don't build.", inputs)
    if request.base != source.branch:
        into = f"{pushed(push)} is for {request.base}"
        return Skip("other_branch", f"{into}: only {source.branch} is tracked.", inputs)
    if request.is_fork and not request.is_allowed:
        sentence = (
            f"{pushed(push)} comes from a fork: it builds once somebody approves it on the page of deliveries,"
            f" or sets the label {LABEL}."
        )
        return Skip("fork", sentence, inputs)
    return None
