""""""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.project_pages import API, visitor
from tests.support.seed import World, world
from tests.support.server_context import ADMIN_TOKEN


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


@pytest.fixture
def api(made: World) -> Client:
    """With a project `acme` that has two jobs without a source."""
    client = Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    for path, body in (
        ("", {"name": "acme"}),
        ("/acme/jobs", {"name": "report"}),
        ("/acme/jobs", {"name": "sync"}),
    ):
        assert client.post(f"{API}{path}", json=body).status_code == 201
    return client


@pytest.fixture
def page(made: World, api: Client) -> Client:
    return visitor(made)
