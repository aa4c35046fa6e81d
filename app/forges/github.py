"""GitHub's webhooks: https://docs.github.com/webhooks (signature, headers, `push` payload)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from app.domain.events import Commit, Push, RepositoryRef, one_line
from app.forges.base import BadPayload, Headers, single_header
from app.forges.glimpse import objects_named
from app.forges.reading import flag, items, members, sha, sha_or_none, text

_SIGNATURE = re.compile(rb"sha256=[0-9a-f]{64}")
_KIND = re.compile(rb"[a-z_]{1,64}")
_DELIVERY = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_REF = re.compile(r"refs/[^\s\x00-\x1f\x7f\ud800-\udfff]{1,1019}")
_URL_FIELDS = ("clone_url", "html_url", "ssh_url", "git_url")


class GitHub:
    """Implements `app.forges.base.Forge`."""

    name = "github"

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        signature = single_header(headers, b"x-hub-signature-256")
        if not secret or signature is None or not _SIGNATURE.fullmatch(signature):
            return False
        expected = b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode()
        return hmac.compare_digest(expected, signature)

    def event_kind(self, headers: Headers) -> str | None:
        return _readable(single_header(headers, b"x-github-event"), _KIND)

    def delivery_id(self, headers: Headers) -> str | None:
        return _readable(single_header(headers, b"x-github-delivery"), _DELIVERY)

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

    def parse_push(self, payload: object) -> Push:
        """Parse a push: what decides has to be there; who pushed, and what only people read, may be missing."""
        body = members(payload, "payload")
        before, after = sha_or_none(body.get("before"), "before"), sha_or_none(body.get("after"), "after")
        created = flag(body.get("created", before is None), "created")
        forced = flag(body.get("forced", False), "forced")
        raw_commits = [
            members(item, f"commits.{number}")
            for number, item in enumerate(items(body.get("commits", []), "commits"))
        ]
        head = body.get("head_commit")
        pusher = members(body.get("pusher", {}), "pusher")
        return Push(
            forge=self.name,
            repository=self.repository_of(body),
            ref=_ref(body.get("ref")),
            before=before,
            after=after,
            deleted=flag(body.get("deleted", after is None), "deleted"),
            created=created,
            forced=forced,
            commits=tuple(_commit(item, f"commits.{number}") for number, item in enumerate(raw_commits)),
            head_message=_message(head) if head is not None else "",
            changed_files=None,  # lists of each commit, cut short without a word, are no net difference
            pusher=one_line(text(pusher.get("name", ""), "pusher.name")),
            compare_url=text(body.get("compare", ""), "compare"),
        )


def _readable(value: bytes | None, shape: re.Pattern[bytes]) -> str | None:
    return value.decode() if value is not None and shape.fullmatch(value) else None


def _ref(value: object) -> str:
    if not isinstance(value, str) or not _REF.fullmatch(value):
        raise BadPayload("ref", "The payload's ref must be a full ref name such as refs/heads/main.")
    return value


def _message(head: object) -> str:
    return text(members(head, "head_commit").get("message"), "head_commit.message")


def _commit(item: Mapping[str, object], field: str) -> Commit:
    author = members(item.get("author", {}), f"{field}.author")
    return Commit(
        sha=sha(item.get("id"), f"{field}.id"),
        message=text(item.get("message"), f"{field}.message"),
        author=text(author.get("name", ""), f"{field}.author.name"),
    )
