"""Calls of whatever sends JSON, read as a project's generic webhook says, and stored in one shape."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.events import BRANCH_PREFIX, PUSH, Push, RepositoryRef
from app.domain.generic_webhooks import GenericWebhook, Proof, pointed_at
from app.forges.base import About, BadPayload, Headers, is_signed, readable, single_header
from app.forges.github import GitHub
from app.forges.reading import text

NAME = "generic"
_IDS = (b"webhook-id", b"x-delivery-id", b"x-request-id", b"idempotency-key")
_PREFIXES = re.compile(rb"(?:sha256=|(?i:bearer) )?")
_ADDRESS = re.compile(r"[a-z+]+://|/|[^/:\s]+@[^/:\s]+:")
_NO_SHA = "0" * 40


class Generic(GitHub):
    """What was stored of such calls, which has the shape of GitHub's pushes. Nothing calls it by this name alone."""

    name = NAME

    def parse_pull_request(self, payload: object) -> Push | None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class GenericCall:
    """Implements `app.forges.base.Forge` for one call to a project's webhook.

    `known` are the identities of the project's repositories: a body may name one as `owner/name`.
    """

    webhook: GenericWebhook
    body: bytes
    known: frozenset[str]

    name = NAME

    @property
    def about(self) -> About:
        return About("What this webhook is for", self.webhook.header, "Webhook-Id", self.webhook.header)

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        given = single_header(headers, self.webhook.header.lower().encode())
        if not secret or given is None:
            return False
        proof = given[_PREFIXES.match(given).end() :]  # type: ignore[union-attr]
        if self.webhook.proof is Proof.TOKEN:
            return hmac.compare_digest(secret, proof) or hmac.compare_digest(secret, given)
        return is_signed(secret, body, proof)

    def event_kind(self, headers: Headers) -> str | None:  # noqa: ARG002 - it is for pushes alone
        return PUSH

    def delivery_id(self, headers: Headers) -> str | None:
        """Return the id that the caller sent, or one that is the body's: the same body is the same push."""
        given = list(headers)
        sent = next((found for name in _IDS if (found := readable(single_header(given, name)))), None)
        own = sent or hashlib.sha256(self.body).hexdigest()[:32]
        return f"{self.webhook.id[:8]}-{own}"[:128]

    def repository_of(self, payload: object) -> RepositoryRef:
        webhook = self.webhook
        if webhook.names_repository:
            return RepositoryRef(webhook.repository, (webhook.repository,))
        given = text(pointed_at(payload, webhook.repository), webhook.repository).strip()
        if _ADDRESS.match(given):
            return RepositoryRef(given, (given,))
        ending = f"/{given.lower()}"
        urls = tuple(f"https://{key}" for key in sorted(self.known) if given and key.lower().endswith(ending))
        return RepositoryRef(given, urls)

    def repositories_in(self, body: bytes) -> Iterator[RepositoryRef]:  # noqa: ARG002 - its secrets are few
        yield RepositoryRef("", tuple(f"https://{key}" for key in self.known))

    def parts(self, payload: object) -> Sequence[object]:
        """Return the one push in the shape in which it is stored."""
        webhook, repository = self.webhook, self.repository_of(payload)
        ref = text(pointed_at(payload, webhook.ref), webhook.ref)
        after = pointed_at(payload, webhook.sha)
        before = None if webhook.before is None else pointed_at(payload, webhook.before)
        stored = {
            "ref": ref if ref.startswith("refs/") else BRANCH_PREFIX + ref,
            "before": _NO_SHA if before is None else before,
            "after": after,
            "repository": {"full_name": repository.full_name, "clone_url": next(iter(repository.urls), "")},
        }
        try:
            Generic().parse_push(stored)
        except BadPayload as error:
            places = {"ref": webhook.ref, "after": webhook.sha, "before": webhook.before or ""}
            place = places.get(error.field, error.field)
            raise BadPayload(
                place, str(error).replace(f"payload's {error.field}", f"payload's {place}")
            ) from None
        return [stored]

    def parse_push(self, payload: object) -> Push:
        return Generic().parse_push(payload)

    def parse_pull_request(self, payload: object) -> Push | None:  # noqa: ARG002
        return None
