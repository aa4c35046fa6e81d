"""What the jobs of the furnished installation share: a build service, secret groups, credentials; made by the API."""

from __future__ import annotations

from typing import Any

from tests.support.client import Client
from tests.support.seed import World
from tests.support.server_context import ADMIN_TOKEN

SHARED: dict[str, list[dict[str, Any]]] = {
    "credentials": [
        {"name": "github", "kind": "git", "host": "github.com", "secret": "a token"},
        {
            "name": "registry",
            "kind": "registry",
            "host": "registry.example.com:5000",
            "username": "ci",
            "secret": "a password",
        },
    ],
    "build-services": [
        {
            "name": "toolbox",
            "git": {"url": "https://github.com/acme/toolbox", "credential": "github"},
            "build": {"paths": ["docs/"]},
            "builds_in_flight": "latest",
        }
    ],
    "jobs": [
        {"name": "clean-up", "source": {"type": "build_service", "build_service": "toolbox"}},
        {"name": "re-index", "source": {"type": "build_service", "build_service": "toolbox"}},
    ],
    "notification-targets": [
        {
            "name": "nightly-mail",
            "kind": "email",
            "address": "ops@example.com",
            "on": ["first_failure", "recovery", "absence"],
            "absence_hours": 26,
        },
        {
            "name": "team-chat",
            "kind": "slack",
            "address": "https://chat.example.com/hooks/x",
            "on": ["failure"],
        },
    ],
    "secret-groups": [
        {
            "name": "mail",
            "priority": 10,
            "env": {"SMTP_HOST": "mail.example.com", "SMTP_PASSWORD": {"value": "hidden", "secret": True}},
            "jobs": ["clean-up", "embeddings"],
        },
        {"name": "warehouse", "env": {"DATABASE_URL": {"value": "hidden", "secret": True, "scope": "both"}}},
    ],
}


def furnish_shared(made: World) -> None:
    """In the project of the furnished installation."""
    client = Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    for path, things in SHARED.items():
        for thing in things:
            answer = client.post(f"/api/v1/projects/acme/{path}", json=thing)
            assert answer.status_code == 201, answer.text
