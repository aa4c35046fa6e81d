"""What a stranger's body costs: one HMAC, however many secrets there are; and the answer tells nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from app.forges.base import Headers
from app.forges.github import GitHub
from app.web.app import create_app
from tests.support.client import Client
from tests.support.installation import Installation
from tests.support.payloads import encode, push_headers
from tests.support.server_context import ADMIN_TOKEN

PROJECTS = 61
MIB = 2**20


class Counted(GitHub):
    def __init__(self) -> None:
        self.hashed = 0

    def verify(self, secret: bytes, body: bytes, headers: Headers) -> bool:
        self.hashed += len(body)
        return super().verify(secret, body, headers)


class Sent:
    def __init__(self, client: Client, forge: Counted) -> None:
        self._client, self._forge, self._numbers = client, forge, count(1)

    def __call__(self, body: bytes, project: int | None, event: str = "push") -> tuple[int, str]:
        """Signed with the secret of that project, or with none; what it was answered."""
        self._forge.hashed = 0
        secret = "nobody's" if project is None else f"the secret of p{project}"
        headers = push_headers(secret.encode(), body, f"{next(self._numbers)}") | {"X-GitHub-Event": event}
        answer = self._client.post("/webhooks/github", content=body, headers=headers)
        return answer.status_code, answer.text

    def page(self, path: str) -> str:
        return self._client.get(path).text

    @property
    def hashed(self) -> int:
        return self._forge.hashed


@pytest.fixture(scope="module")
def send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    forge = Counted()
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-Request-Id": "same"}
    with (
        Installation.bare(tmp_path_factory.mktemp("effort")) as place,
        Client(
            create_app(replace(place.web, forges={"github": forge}), nullcontext), headers=headers
        ) as client,
    ):
        for number in range(PROJECTS):
            name = f"p{number}"
            fields: dict[str, Any] = {"name": name, "webhook_secret": f"the secret of {name}"}
            assert client.post("/api/v1/projects", json=fields).status_code == 201
            git = {"url": f"https://github.com/acme/{name}"}
            fields = {"name": "report", "source": {"type": "git", "git": git}}
            assert client.post(f"/api/v1/projects/{name}/jobs", json=fields).status_code == 201
        yield Sent(client, forge)


def payload(repository: str, size: int) -> bytes:
    named = {"full_name": repository, "clone_url": f"https://github.com/{repository}.git"}
    push = {"ref": "refs/heads/other", "before": "1" * 40, "after": "2" * 40, "commits": []}
    return encode({**push, "padding": "x" * size, "repository": named})


@pytest.mark.parametrize("event", ["push", "issues", "ping"])
@pytest.mark.parametrize("repository", ["acme/p7", "acme/unknown"])
def test_a_large_body_costs_one_hmac_however_many_secrets_there_are(
    send: Sent, repository: str, event: str
) -> None:
    body = payload(repository, 3 * MIB)
    assert send(body, None, event)[0] == 401
    assert send.hashed == len(body)


@pytest.mark.parametrize("size", [10, 10_000, 3 * MIB])
def test_an_unknown_repository_is_told_from_a_wrong_signature_by_nothing(send: Sent, size: int) -> None:
    known = send(payload("acme/p7", size), None), send.hashed
    unknown = send(payload("acme/no", size), None), send.hashed
    assert known == unknown
    assert known[0][0] == 401


@pytest.mark.parametrize("size", [10, 10_000, 3 * MIB])
def test_the_secret_of_the_repository_is_found_among_many(send: Sent, size: int) -> None:
    assert send(payload("acme/p60", size), 60)[0] == 202
    assert send(payload("acme/p59", size), 60)[0] == 401


def test_a_renamed_repository_is_noticed_sooner_or_later_among_many(send: Sent) -> None:
    """One secret is tried each time, and another one the next time."""
    body = payload("acme/renamed", 10_000)
    for _ in range(PROJECTS):
        assert send(body, 42)[0] == 401
        assert send.hashed == len(body)
    assert "<code>acme/renamed</code>" in send.page("/projects/p42")
    assert "<code>acme/renamed</code>" not in send.page("/projects/p41")


def test_what_names_no_repository_of_ours_is_still_verified_if_it_is_small(send: Sent) -> None:
    assert send(encode({"zen": "x" * 20_000}), 60, "ping")[0] == 200
    assert send(payload("acme/unknown", 20_000), 60, "issues")[0] == 202
    assert send(b"x" * 20_000, 60)[0] == 400
