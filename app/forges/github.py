"""GitHub's webhooks: https://docs.github.com/webhooks (signature, headers, `push` payload)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from app.domain.events import TAG_PREFIX, Push, RepositoryRef, one_line
from app.domain.ref_rules import LABEL
from app.forges.base import About, BadPayload, Headers, is_signed, one_part, readable, single_header
from app.forges.glimpse import objects_named
from app.forges.proposals import read_pull_request
from app.forges.reading import commits, flag, full_ref, members, sha, sha_or_none, text

_ACTIONS = ("opened", "reopened", "synchronize")
_ALGORITHM = b"sha256="
_KIND = re.compile(rb"[a-z_]{1,64}")
_URL_FIELDS = ("clone_url", "html_url", "ssh_url", "git_url")


class GitHub:
    """Implements `app.forges.base.Forge`."""

    name = "github"
    about = About("GitHub", "X-GitHub-Event", "X-GitHub-Delivery", "X-Hub-Signature-256")

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        signature = single_header(headers, b"x-hub-signature-256") or b""
        if not signature.startswith(_ALGORITHM):
            return False
        return is_signed(secret, body, signature.removeprefix(_ALGORITHM))

    def event_kind(self, headers: Headers) -> str | None:
        return readable(single_header(headers, b"x-github-event"), _KIND)

    def delivery_id(self, headers: Headers) -> str | None:
        return readable(single_header(headers, b"x-github-delivery"))

    def repository_of(self, payload: object) -> RepositoryRef:
        repository = members(members(payload, "payload").get("repository"), "repository")
        return RepositoryRef(
            full_name=text(repository.get("full_name"), "repository.full_name"),
            urls=tuple(
                text(repository[key], f"repository.{key}") for key in _URL_FIELDS if repository.get(key)
            ),
        )

    def repositories_in(self, body: bytes) -> Iterator[RepositoryRef]:
        for found in objects_named("repository", body):
            with suppress(BadPayload):
                yield self.repository_of({"repository": found})

    def parts(self, payload: object) -> Sequence[object]:
        return one_part(payload)

    def parse_push(self, payload: object) -> Push:
        """Parse a push: what decides has to be there; who pushed, and what only people read, may be missing."""
        body = members(payload, "payload")
        before, after = sha_or_none(body.get("before"), "before"), sha_or_none(body.get("after"), "after")
        ref, head = full_ref(body.get("ref"), "ref"), body.get("head_commit")
        pusher = members(body.get("pusher", {}), "pusher")
        return Push(
            forge=self.name,
            repository=self.repository_of(body),
            ref=ref,
            before=before,
            after=after,
            deleted=flag(body.get("deleted", after is None), "deleted"),
            created=flag(body.get("created", before is None), "created"),
            forced=flag(body.get("forced", False), "forced"),
            commits=commits(body.get("commits", []), "commits"),
            head_message=_message(head) if head is not None else "",
            changed_files=None,  # lists of each commit, cut short without a word, are no net difference
            pusher=one_line(text(pusher.get("name", ""), "pusher.name")),
            compare_url=text(body.get("compare", ""), "compare"),
            target=None if head is None or not ref.startswith(TAG_PREFIX) else _commit(head),
        )

    def parse_pull_request(self, payload: object) -> Push | None:
        body = members(payload, "payload")
        is_labelled = body.get("action") == "labeled" and _label(body) == LABEL
        if body.get("action") not in _ACTIONS and not is_labelled:
            return None
        return read_pull_request(self, body, is_labelled=is_labelled)


def _label(body: Mapping[str, object]) -> object:
    """The label that was set by this event."""
    return members(body.get("label"), "label").get("name")


def _message(head: object) -> str:
    return text(members(head, "head_commit").get("message"), "head_commit.message")


def _commit(head: object) -> str:
    """The commit that an annotated tag points to; `after` is the tag's own object."""
    return sha(members(head, "head_commit").get("id"), "head_commit.id")
