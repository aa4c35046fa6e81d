"""Webhooks of Gitea, Forgejo and Gogs: https://docs.gitea.com/usage/webhooks (one payload, headers of three names)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import parse_qs

from app.domain.events import TAG_PREFIX, Push, RepositoryRef, one_line
from app.domain.ref_rules import LABEL
from app.forges.base import About, BadPayload, Headers, is_signed, one_part, readable, single_header
from app.forges.glimpse import objects_named
from app.forges.proposals import read_pull_request
from app.forges.reading import commits, full_ref, items, members, sha_or_none, text

_BRANDS = (b"forgejo", b"gitea", b"gogs")  # each sends its own names and those after it
_KIND = re.compile(rb"[a-z_]{1,64}")
_URL_FIELDS = ("clone_url", "html_url", "ssh_url")
_ACTIONS = ("opened", "reopened", "synchronized")
_FORM = b"payload="


class Gitea:
    """Implements `app.forges.base.Forge`."""

    name = "gitea"
    about = About("Gitea or Forgejo", "X-Gitea-Event", "X-Gitea-Delivery", "X-Gitea-Signature")

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        signature = _header(headers, b"signature")
        return is_signed(secret, _signed(body), signature)

    def event_kind(self, headers: Headers) -> str | None:
        return readable(_header(headers, b"event"), _KIND)

    def delivery_id(self, headers: Headers) -> str | None:
        return readable(_header(headers, b"delivery"))

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
        """Parse a push: of many commits some are listed, newest first; nothing says whether it was forced."""
        body = members(payload, "payload")
        before, after = sha_or_none(body.get("before"), "before"), sha_or_none(body.get("after"), "after")
        pusher = members(body.get("pusher") or {}, "pusher")
        head = body.get("head_commit")
        head_commit = None if head is None else commits([head], "head_commit")[0]
        ref = full_ref(body.get("ref"), "ref")
        return Push(
            forge=self.name,
            repository=self.repository_of(body),
            ref=ref,
            before=before,
            after=after,
            deleted=after is None,
            created=before is None,
            forced=False,
            commits=commits(body.get("commits") or [], "commits")[::-1],
            head_message="" if head_commit is None else head_commit.message,
            changed_files=None,  # lists of each commit are no net difference
            pusher=one_line(text(pusher.get("login") or pusher.get("username") or "", "pusher.login")),
            compare_url=text(body.get("compare_url") or "", "compare_url"),
            target=head_commit.sha if head_commit is not None and ref.startswith(TAG_PREFIX) else None,
        )

    def parse_pull_request(self, payload: object) -> Push | None:
        body = members(payload, "payload")
        is_labelled = body.get("action") == "label_updated" and _has_label(body)
        if body.get("action") not in _ACTIONS and not is_labelled:
            return None
        return read_pull_request(self, body, is_labelled=is_labelled)


def _has_label(body: Mapping[str, object]) -> bool:
    request = members(body.get("pull_request"), "pull_request")
    labels = items(request.get("labels") or [], "pull_request.labels")
    return any(isinstance(each, dict) and each.get("name") == LABEL for each in labels)


def _header(headers: Headers, what: bytes) -> bytes | None:
    """The header of the first brand that has it: once, or as good as not at all."""
    given = list(headers)
    for brand in _BRANDS:
        name = b"x-" + brand + b"-" + what
        if any(key.lower() == name for key, _ in given):
            return single_header(given, name)
    return None


def _signed(body: bytes) -> bytes:
    """What is signed: of a form it is the JSON in it, other than with GitHub."""
    if not body.startswith(_FORM):
        return body
    try:
        fields = parse_qs(body.decode(), max_num_fields=10, strict_parsing=True, errors="strict")
    except ValueError:
        return body
    return fields.get("payload", [""])[0].encode()
