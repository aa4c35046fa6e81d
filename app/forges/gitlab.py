"""GitLab's webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/ (push and tag push hooks)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from app.domain.events import PULL_REQUEST, PUSH, PullRequest, Push, RepositoryRef, one_line
from app.domain.ref_rules import LABEL
from app.forges.base import About, BadPayload, Headers, one_part, readable, single_header
from app.forges.glimpse import objects_named
from app.forges.proposals import number
from app.forges.reading import commits, full_ref, members, sha, sha_or_none, text

_KIND = re.compile(rb"[A-Za-z][A-Za-z ]{0,63}")
_KINDS = {"Push Hook": PUSH, "Tag Push Hook": PUSH, "Merge Request Hook": PULL_REQUEST}
_ACTIONS = ("open", "reopen")
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

    def parse_pull_request(self, payload: object) -> Push | None:
        """Return the head of a merge request: where commits came, or the label was set."""
        body = members(payload, "payload")
        request = members(body.get("object_attributes"), "object_attributes")
        is_labelled = _is_labelled(body)
        has_commits = request.get("action") == "update" and request.get("oldrev") is not None
        if request.get("action") not in _ACTIONS and not has_commits and not is_labelled:
            return None
        branch = text(request.get("target_branch"), "object_attributes.target_branch")
        full_ref(f"refs/heads/{branch}", "object_attributes.target_branch")
        last = members(request.get("last_commit"), "object_attributes.last_commit")
        user = members(body.get("user") or {}, "user")
        source, target = request.get("source_project_id"), request.get("target_project_id")
        is_fork = target is None or source != target
        return Push(
            forge=self.name,
            repository=self.repository_of(body),
            ref=f"refs/merge-requests/{number(request.get('iid'), 'object_attributes.iid')}/head",
            before=None,
            after=sha(last.get("id"), "object_attributes.last_commit.id"),
            deleted=False,
            created=False,
            forced=False,
            commits=(),
            head_message=text(request.get("title", ""), "object_attributes.title"),
            changed_files=None,
            pusher=one_line(text(user.get("username") or "", "user.username")),
            compare_url=text(request.get("url") or "", "object_attributes.url"),
            pull_request=PullRequest(branch, is_fork=is_fork, is_allowed=is_labelled),
        )


def _is_labelled(body: Mapping[str, object]) -> bool:
    """Return whether this event set the label."""
    changes = members(body.get("changes") or {}, "changes")
    labels = members(changes.get("labels") or {}, "changes.labels")
    before, now = (_titles(labels.get(when)) for when in ("previous", "current"))
    return LABEL in now and LABEL not in before


def _titles(labels: object) -> list[object]:
    return (
        [each.get("title") for each in labels if isinstance(each, dict)] if isinstance(labels, list) else []
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
