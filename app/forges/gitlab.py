"""GitLab's webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/ (push and tag push hooks)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from app.domain.events import Push, RepositoryRef, one_line
from app.forges.base import (
    PUSH,
    About,
    BadPayload,
    Headers,
    one_part,
    readable,
    single_header,
)
from app.forges.glimpse import objects_named
from app.forges.reading import commits, full_ref, members, sha_or_none, text

_KIND = re.compile(rb"[A-Za-z][A-Za-z ]{0,63}")
_KINDS = {"Push Hook": PUSH, "Tag Push Hook": PUSH}
_URL_FIELDS = ("git_http_url", "web_url", "git_ssh_url", "http_url", "ssh_url")


class GitLab:
    """Implements `app.forges.base.Forge`. A call is not signed: it carries the secret itself, by TLS."""

    name = "gitlab"
    about = About("GitLab", "X-Gitlab-Event", "X-Gitlab-Event-UUID", "X-Gitlab-Token")

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:  # noqa: ARG002 - it signs nothing
        token = single_header(headers, b"x-gitlab-token")
        return bool(secret and token) and hmac.compare_digest(secret, token or b"")

    def event_kind(self, headers: Headers) -> str | None:
        kind = readable(single_header(headers, b"x-gitlab-event"), _KIND)
        return None if kind is None else _KINDS.get(kind, kind)

    def delivery_id(self, headers: Headers) -> str | None:
        return readable(single_header(headers, b"x-gitlab-event-uuid"))

    def repository_of(self, payload: object) -> RepositoryRef:
        project = members(members(payload, "payload").get("project"), "project")
        return RepositoryRef(
            full_name=text(project.get("path_with_namespace"), "project.path_with_namespace"),
            urls=tuple(
                dict.fromkeys(text(project[key], f"project.{key}") for key in _URL_FIELDS if project.get(key))
            ),
        )

    def repositories_in(self, body: bytes) -> Iterator[RepositoryRef]:
        for found in objects_named("project", body):
            with suppress(BadPayload):
                yield self.repository_of({"project": found})

    def parts(self, payload: object) -> Sequence[object]:
        return one_part(payload)

    def parse_push(self, payload: object) -> Push:
        """Parse a push: of more than 20 commits the newest are listed; nothing says whether it was forced."""
        body = members(payload, "payload")
        before, after = sha_or_none(body.get("before"), "before"), sha_or_none(body.get("after"), "after")
        listed = commits(body.get("commits", []), "commits")
        target = _target(body)
        return Push(
            forge=self.name,
            repository=self.repository_of(body),
            ref=full_ref(body.get("ref"), "ref"),
            before=before,
            after=after,
            deleted=after is None,
            created=before is None,
            forced=False,
            commits=listed,
            head_message=next((each.message for each in listed if each.sha == (target or after)), ""),
            changed_files=None,  # lists of each commit are no net difference
            pusher=_pusher(body),
            compare_url="",
            target=target,
        )


def _target(body: Mapping[str, object]) -> str | None:
    """The pushed commit, which an annotated tag isn't itself; None where something was deleted."""
    checked_out = body.get("checkout_sha")
    return None if checked_out is None else sha_or_none(checked_out, "checkout_sha")


def _pusher(body: Mapping[str, object]) -> str:
    for field in ("user_username", "user_name"):
        given = body.get(field)
        if given:
            return one_line(text(given, field))
    return ""
