"""Bitbucket's webhooks: those of the Cloud (`repo:push`) and of Data Center (`repo:refs_changed`).

https://support.atlassian.com/bitbucket-cloud/docs/event-payloads and
https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from app.domain.events import BRANCH_PREFIX, PING, PUSH, TAG_PREFIX, Commit, Push, RepositoryRef, one_line
from app.forges.base import About, BadPayload, Headers, is_signed, readable, single_header
from app.forges.glimpse import objects_named
from app.forges.reading import full_ref, items, members, sha, sha_or_none, text

CHANGES = 100  # refs that one delivery may tell of
_ALGORITHM = b"sha256="
_KIND = re.compile(rb"[a-z_:]{1,64}")
_KINDS = {"repo:push": PUSH, "repo:refs_changed": PUSH, "diagnostics:ping": PING}
_PREFIXES = {"branch": BRANCH_PREFIX, "named_branch": BRANCH_PREFIX, "tag": TAG_PREFIX}


class Bitbucket:
    """Implements `app.forges.base.Forge`."""

    name = "bitbucket"
    about = About("Bitbucket", "X-Event-Key", "X-Request-UUID", "X-Hub-Signature")

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        signature = single_header(headers, b"x-hub-signature") or b""
        if not signature.startswith(_ALGORITHM):
            return False
        return is_signed(secret, body, signature.removeprefix(_ALGORITHM))

    def event_kind(self, headers: Headers) -> str | None:
        kind = readable(single_header(headers, b"x-event-key"), _KIND)
        return None if kind is None else _KINDS.get(kind, kind)

    def delivery_id(self, headers: Headers) -> str | None:
        given = list(headers)
        found = single_header(given, b"x-request-uuid") or single_header(given, b"x-request-id")
        return readable(found and found.strip(b"{}"))

    def repository_of(self, payload: object) -> RepositoryRef:
        repository = members(members(payload, "payload").get("repository"), "repository")
        return RepositoryRef(_full_name(repository), tuple(_addresses(repository)))

    def repositories_in(self, body: bytes) -> Iterator[RepositoryRef]:
        for found in objects_named("repository", body):
            with suppress(BadPayload):
                yield self.repository_of({"repository": found})

    def parts(self, payload: object) -> Sequence[object]:
        body = members(payload, "payload")
        is_cloud = "push" in body
        field, found = _changes(body)
        if len(found) == 1:
            return (payload,)
        if not 0 < len(found) <= CHANGES:
            raise BadPayload(field, f"The payload's {field} must have 1 to {CHANGES} changes.")
        return [
            {**body, **({"push": {"changes": [each]}} if is_cloud else {"changes": [each]})} for each in found
        ]

    def parse_push(self, payload: object) -> Push:
        """Parse the first change: of more than five commits some are listed, newest first."""
        body = members(payload, "payload")
        field, found = _changes(body)
        if not found:
            raise BadPayload(field, f"The payload's {field} must have 1 to {CHANGES} changes.")
        change = members(found[0], f"{field}.0")
        moved = _of_cloud(change, f"{field}.0") if "push" in body else _of_server(change, f"{field}.0")
        ref, before, after, listed, is_forced, compare = moved
        actor = members(body.get("actor") or {}, "actor")
        who = actor.get("nickname") or actor.get("name") or actor.get("display_name") or ""
        return Push(
            forge=self.name,
            repository=self.repository_of(body),
            ref=ref,
            before=before,
            after=after,
            deleted=after is None,
            created=before is None,
            forced=is_forced,
            commits=listed,
            head_message=next((each.message for each in listed if each.sha == after), ""),
            changed_files=None,  # none are told
            pusher=one_line(text(who, "actor.nickname")),
            compare_url=compare,
        )

    def parse_pull_request(self, payload: object) -> Push | None:  # noqa: ARG002
        """None: Bitbucket has no ref by which a pull request's head could be fetched."""
        return None


_Moved = tuple[str, str | None, str | None, tuple[Commit, ...], bool, str]


def _of_cloud(change: Mapping[str, object], field: str) -> _Moved:
    new, old = (_end(change, name, f"{field}.{name}") for name in ("new", "old"))
    ref = new[0] if new is not None else old[0] if old is not None else None
    if ref is None:
        raise BadPayload(field, f"The payload's {field} must have new, old or both.")
    listed = tuple(
        _commit(members(item, f"{field}.commits.{number}"), f"{field}.commits.{number}")
        for number, item in enumerate(items(change.get("commits") or [], f"{field}.commits"))
    )
    links = members(change.get("links") or {}, f"{field}.links")
    html = members(links.get("html") or {}, f"{field}.links.html")
    compare = text(html.get("href") or "", f"{field}.links.html.href")
    before, after = old and old[1], new and new[1]
    return ref, before, after, listed[::-1], change.get("forced") is True, compare


def _end(change: Mapping[str, object], name: str, field: str) -> tuple[str, str] | None:
    """The ref and the commit before or after a change; None where there was or is no such ref."""
    given = change.get(name)
    if given is None:
        return None
    found = members(given, field)
    prefix = _PREFIXES.get(str(found.get("type")))
    if prefix is None:
        raise BadPayload(f"{field}.type", f"The payload's {field}.type must be branch or tag.")
    ref = full_ref(prefix + text(found.get("name"), f"{field}.name"), f"{field}.name")
    target = members(found.get("target"), f"{field}.target")
    return ref, sha(target.get("hash"), f"{field}.target.hash")


def _of_server(change: Mapping[str, object], field: str) -> _Moved:
    ref = full_ref(members(change.get("ref"), f"{field}.ref").get("id"), f"{field}.ref.id")
    before = sha_or_none(change.get("fromHash"), f"{field}.fromHash")
    after = sha_or_none(change.get("toHash"), f"{field}.toHash")
    return ref, before, after, (), False, ""


def _commit(item: Mapping[str, object], field: str) -> Commit:
    author = members(item.get("author") or {}, f"{field}.author")
    name = text(author.get("raw") or "", f"{field}.author.raw").partition(" <")[0]
    return Commit(sha(item.get("hash"), f"{field}.hash"), text(item.get("message"), f"{field}.message"), name)


def _changes(body: Mapping[str, object]) -> tuple[str, list[object]]:
    if "push" not in body:
        return "changes", items(body.get("changes"), "changes")
    return "push.changes", items(members(body["push"], "push").get("changes"), "push.changes")


def _full_name(repository: Mapping[str, object]) -> str:
    if "full_name" in repository:
        return text(repository["full_name"], "repository.full_name")
    project = members(repository.get("project"), "repository.project")
    key = text(project.get("key"), "repository.project.key")
    return f"{key}/{text(repository.get('slug'), 'repository.slug')}"


def _addresses(repository: Mapping[str, object]) -> Iterator[str]:
    """The Cloud's page is its address for Git; Data Center lists the addresses."""
    links = members(repository.get("links"), "repository.links")
    if "html" in links:
        html = members(links["html"], "repository.links.html")
        yield text(html.get("href"), "repository.links.html.href")
    for number, item in enumerate(items(links.get("clone", []), "repository.links.clone")):
        field = f"repository.links.clone.{number}"
        yield text(members(item, field).get("href"), f"{field}.href")
