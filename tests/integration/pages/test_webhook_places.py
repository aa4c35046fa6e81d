"""Where each forge is told to call: shown on pages and by the API, the repository's own forge first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from app.web.app import create_app
from app.web.server_context import ServerContext
from app.web.webhook_places import PLACES, forge_of, webhook_places
from tests.support.client import Client
from tests.support.senders import FORGES
from tests.support.server_context import ADMIN_TOKEN


@pytest.fixture
def client(context: ServerContext) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with Client(create_app(context, nullcontext), headers=headers) as client:
        client.post("/api/v1/projects", json={"name": "acme"})
        yield client


def test_every_forge_has_a_place() -> None:
    assert {each.forge for each in PLACES} == set(FORGES) - {"generic"}


@pytest.mark.parametrize(
    ("repository", "forge"),
    [
        ("https://github.com/acme/report", "github"),
        ("git@gitlab.com:acme/tools/report.git", "gitlab"),
        ("https://gitlab.acme.example/acme/report", "gitlab"),
        ("https://codeberg.org/acme/report", "gitea"),
        ("https://git.acme.example/acme/report", "github"),
        ("https://bitbucket.org/acme/report", "bitbucket"),
        ("", "github"),
    ],
)
def test_the_forge_is_told_by_the_host(repository: str, forge: str) -> None:
    assert forge_of(repository) == forge
    assert webhook_places(repository)[0].forge == forge
    assert set(webhook_places(repository)) == set(PLACES)


def test_a_project_shows_the_address_of_its_repositorys_forge_first(client: Client) -> None:
    git = {"url": "https://gitlab.com/acme/tools/report.git"}
    made = client.post(
        "/api/v1/projects/acme/jobs", json={"name": "report", "source": {"type": "git", "git": git}}
    ).json()
    assert made["webhook_url"].endswith("/webhooks/gitlab")
    page = client.get("/projects/acme").text
    assert re.findall(r"/webhooks/([a-z]+)</code>", page) == ["gitlab", "github", "gitea", "bitbucket"]
    assert re.findall(r"data-copy-text>[^<]*/webhooks/([a-z]+)", page) == ["gitlab"]
    assert "Secret token" in page


def test_a_credentials_api_tells_the_forge_where_the_host_does_not(client: Client) -> None:
    api = {"host": "git.acme.example", "api_url": "https://git.acme.example/api/v1"}
    credential = {"name": "forge", "kind": "git", "secret": "x", **api}
    assert client.post("/api/v1/projects/acme/credentials", json=credential).status_code == 201
    git = {"url": "https://git.acme.example/acme/report"}
    client.post("/api/v1/projects/acme/jobs", json={"name": "report", "source": {"type": "git", "git": git}})
    page = client.get("/projects/acme").text
    assert re.findall(r"data-copy-text>[^<]*/webhooks/([a-z]+)", page) == ["gitea"]


def test_the_settings_show_all_addresses(client: Client) -> None:
    page = client.get("/settings").text
    assert set(re.findall(r"/webhooks/([a-z]+)</code>", page)) == set(FORGES) - {"generic"}
