"""Where each forge is told to call here: its own address, and what its form calls the fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.events import repo_key
from app.domain.forge_links import kind_of
from app.store.credentials import Credential


@dataclass(frozen=True)
class WebhookPlace:
    """A forge's form for webhooks: where it is, and its words for the address, the secret and the events."""

    forge: str
    title: str
    menu: str
    address: str  # the field for ours
    secret: str
    events: str
    content_type: str = ""  # where there is a choice


PLACES = (
    WebhookPlace(
        "github",
        "GitHub",
        "Settings → Webhooks → Add webhook",
        "Payload URL",
        "Secret",
        "just the push event",
        "application/json",
    ),
    WebhookPlace(
        "gitlab",
        "GitLab",
        "Settings → Webhooks → Add new webhook",
        "URL",
        "Secret token",
        "push events and tag push events",
    ),
    WebhookPlace(
        "gitea",
        "Gitea or Forgejo",
        "Settings → Webhooks → Add webhook → Gitea or Forgejo",
        "Target URL",
        "Secret",
        "push events",
        "application/json",
    ),
    WebhookPlace(
        "bitbucket",
        "Bitbucket",
        "Repository settings → Webhooks → Add webhook",
        "URL",
        "Secret",
        "repository push",
    ),
)


def webhook_places(repository: str = "", credential: Credential | None = None) -> Sequence[WebhookPlace]:
    """The places of all forges, that of the repository's own first; GitHub's where neither address tells."""
    chosen = forge_of(repository, credential)
    return sorted(PLACES, key=lambda each: each.forge != chosen)


def forge_of(repository: str, credential: Credential | None = None) -> str:
    """The last part of the address that a repository's webhook has to call; `credential` is one for its host."""
    said, api_url = (credential.forge, credential.api_url) if credential else ("", "")
    return said or kind_of(host_of(repository), api_url) or "github"


def host_of(repository: str) -> str:
    """The host of a repository, as credentials name it."""
    return repo_key(repository).partition("/")[0]
