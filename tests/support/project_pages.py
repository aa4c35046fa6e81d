"""What a project holds, by the API and by its pages."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from app.domain.principals import Role
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.seed import PASSWORD, World

API = "/api/v1/projects"
ACME = "/projects/acme"
ITS_OWN = ("id", "name", "created_at")


def visitor(made: World, role: Role = Role.ADMIN, context: ServerContext | None = None) -> Client:
    app = made.app() if context is None else create_app(context, nullcontext)
    client = Client(app, follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def make(api: Client, kind: str, body: dict[str, Any]) -> None:
    answer = api.post(f"{API}/acme/{kind}", json=body)
    assert answer.status_code == 201, answer.text


def shown(api: Client, path: str) -> dict[str, Any]:
    """What the API shows, but for what no two things have in common."""
    answer = api.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name not in ITS_OWN}


def fields_of(page: Client, path: str) -> dict[str, str]:
    answer = page.get(path)
    assert answer.status_code == 200, answer.text
    return form_fields(answer.text, path)
