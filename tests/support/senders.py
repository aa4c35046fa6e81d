"""The forges as they call: headers, secrets and recorded payloads of each."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bootstrap.forges import make_forges
from app.forges.base import Forge

FIXTURES = Path(__file__).parent.parent / "fixtures"
FORGES = make_forges()

MakeHeaders = Callable[[bytes, bytes, str, str], dict[str, str]]  # of secret, body, id and event


@dataclass(frozen=True)
class Sender:
    """A kind of server that calls webhooks; several may speak the language of one forge."""

    name: str
    forge: Forge
    fixtures: str
    make_headers: MakeHeaders
    other: str  # an event that is no push, in the forge's words
    proof: str  # the header with the signature or token
    signs: bool = True

    @property
    def path(self) -> str:
        return f"/webhooks/{self.forge.name}"

    @property
    def pushes(self) -> list[str]:
        """The names of the recorded pushes of a single ref."""
        found = {each.stem for each in (FIXTURES / self.fixtures).glob("*.json")}
        others = {"ping", "push.schema", "several_refs"}
        return sorted(each for each in found - others if "pull_request" not in each)

    def load(self, name: str) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads((FIXTURES / self.fixtures / f"{name}.json").read_text())
        return payload

    def headers(self, secret: bytes, body: bytes, guid: str, event: str = "push") -> dict[str, str]:
        return {"Content-Type": "application/json", **self.make_headers(secret, body, guid, event)}

    def raw(
        self, secret: bytes, body: bytes, guid: str = "g1", event: str = "push"
    ) -> list[tuple[bytes, bytes]]:
        made = self.headers(secret, body, guid, event)
        return [(name.lower().encode(), value.encode()) for name, value in made.items()]


def digest(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, "sha256").hexdigest()


def _github(secret: bytes, body: bytes, guid: str, event: str) -> dict[str, str]:
    signature = f"sha256={digest(secret, body)}"
    return {"X-GitHub-Event": event, "X-GitHub-Delivery": guid, "X-Hub-Signature-256": signature}


def _gitlab(secret: bytes, body: bytes, guid: str, event: str) -> dict[str, str]:
    tag = b'"tag_push"' in body
    kind = {"push": "Tag Push Hook" if tag else "Push Hook", "pull_request": "Merge Request Hook"}.get(
        event, event
    )
    return {
        "User-Agent": "GitLab/18.0.0",
        "X-Gitlab-Instance": "https://gitlab.com",
        "X-Gitlab-Event": kind,
        "X-Gitlab-Event-UUID": guid,
        "X-Gitlab-Webhook-UUID": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
        "X-Gitlab-Token": secret.decode(),
    }


def _of_brands(*brands: str) -> MakeHeaders:
    def make(secret: bytes, body: bytes, guid: str, event: str) -> dict[str, str]:
        found = _github(secret, body, guid, event)
        for brand in brands:
            found |= {
                f"X-{brand}-Delivery": guid,
                f"X-{brand}-Event": event,
                f"X-{brand}-Event-Type": event,
                f"X-{brand}-Signature": digest(secret, body),
            }
        return found

    return make


def _bitbucket(secret: bytes, body: bytes, guid: str, event: str) -> dict[str, str]:
    return {
        "X-Event-Key": "repo:push" if event == "push" else event,
        "X-Request-UUID": guid,
        "X-Hook-UUID": "7593d4d2-41fc-4a5b-9f2b-8d0cb8e7a4b0",
        "X-Attempt-Number": "1",
        "X-Hub-Signature": f"sha256={digest(secret, body)}",
    }


def _bitbucket_server(secret: bytes, body: bytes, guid: str, event: str) -> dict[str, str]:
    return {
        "X-Event-Key": {"push": "repo:refs_changed", "ping": "diagnostics:ping"}.get(event, event),
        "X-Request-Id": guid,
        "X-Hub-Signature": f"sha256={digest(secret, body)}",
    }


_SENDERS = (
    Sender("github", FORGES["github"], "github", _github, "issues", "X-Hub-Signature-256"),
    Sender("gitlab", FORGES["gitlab"], "gitlab", _gitlab, "Issue Hook", "X-Gitlab-Token", signs=False),
    Sender("gitea", FORGES["gitea"], "gitea", _of_brands("Gitea", "Gogs"), "issues", "X-Gitea-Signature"),
    Sender(
        "forgejo",
        FORGES["gitea"],
        "gitea",
        _of_brands("Forgejo", "Gitea", "Gogs"),
        "issues",
        "X-Forgejo-Signature",
    ),
    Sender("bitbucket", FORGES["bitbucket"], "bitbucket", _bitbucket, "repo:fork", "X-Hub-Signature"),
    Sender(
        "bitbucket_server",
        FORGES["bitbucket"],
        "bitbucket_server",
        _bitbucket_server,
        "repo:modified",
        "X-Hub-Signature",
    ),
)
SENDERS: Mapping[str, Sender] = {each.name: each for each in _SENDERS}
