"""The pages of an installation as somebody who is logged in reads them."""

from __future__ import annotations

from app.domain.principals import Role
from app.domain.runs import Run
from app.store import runs
from tests.support.client import Client
from tests.support.clock import START
from tests.support.seed import PASSWORD, World

NOW = START
OURS = {"Sec-Fetch-Site": "same-origin"}


def visitor(made: World, role: Role | None = Role.ADMIN) -> Client:
    client = Client(made.app(), follow_redirects=False, headers=OURS)
    if role is not None:
        answer = client.post("/login", data={"name": f"{role}-user", "password": PASSWORD})
        assert answer.status_code == 303
    return client


def read(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def run_of(made: World, run_id: int) -> Run:
    with made.db.read() as tx:
        return runs.with_id(tx, run_id)
