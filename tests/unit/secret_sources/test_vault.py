"""Vault, asked over HTTP: what it has, and what its refusals and silences mean."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.secret_sources.vault import MOST_BYTES, REST_SECONDS, VaultLogin, VaultServer
from tests.support.vault import ROLE, TOKEN, VaultDouble, vault_double
from tests.support.waiting import eventually, together

PATH = "secret/data/shop/db"


@pytest.fixture
def double() -> Iterator[VaultDouble]:
    with vault_double() as double:
        double.secrets[PATH] = {"password": "correct horse", "port": 5432}
        double.secrets["kv/shop"] = {"password": "of version 1"}
        yield double


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def server(double: VaultDouble, login: VaultLogin | None = None, **more: object) -> VaultServer:
    return VaultServer(double.address, login or VaultLogin(token=TOKEN), **more)  # type: ignore[arg-type]


def refusal(vault: VaultServer, path: str = PATH) -> str:
    with pytest.raises(SecretRefused) as refused:
        vault.read(path)
    return str(refused.value)


def outage(vault: VaultServer, path: str = PATH) -> str:
    with pytest.raises(SecretUnavailable) as unavailable:
        vault.read(path)
    return str(unavailable.value)


def test_both_versions_of_kv(double: VaultDouble) -> None:
    vault = server(double, namespace="team-a")
    assert vault.read(PATH)["password"] == "correct horse"
    assert vault.read("kv/shop") == {"password": "of version 1"}
    assert double.asked == [f"GET /v1/{PATH}", "GET /v1/kv/shop"]
    assert double.namespaces == ["team-a", "team-a"]


def test_a_secret_of_version_1_may_have_an_entry_called_data(double: VaultDouble) -> None:
    double.secrets["kv/odd"] = {"data": {"a": "b"}, "other": "c"}
    assert server(double).read("kv/odd") == {"data": {"a": "b"}, "other": "c"}


def test_a_path_arrives_as_it_was_written(double: VaultDouble) -> None:
    double.secrets["kv/a%20b"] = {"k": "v"}
    assert server(double).read("kv/a b") == {"k": "v"}


@pytest.mark.parametrize(
    "path", ["secret/data/shop/../billing", "secret//x", "/secret/x", "a?b", "a#b", "a%2fb", ""]
)
def test_a_path_that_could_be_another_is_never_asked_for(double: VaultDouble, path: str) -> None:
    assert refusal(server(double), path) == "it is no path of Vault's API."
    assert double.asked == []


def test_what_is_not_there(double: VaultDouble) -> None:
    said = "Vault has nothing there; write it, or name another path."
    assert refusal(server(double), "secret/data/shop/none") == said
    double.status, double.body = 200, json.dumps({"data": {"data": None, "metadata": {}}}).encode()
    assert refusal(server(double)) == said  # deleted
    double.status, double.body = 405, b'{"errors": ["unsupported operation"]}'
    assert refusal(server(double)) == "Vault can't read there (405); name the path of a KV secret."


def test_what_is_denied(double: VaultDouble) -> None:
    double.denied.add(PATH)
    assert refusal(server(double)) == (
        "Vault denies it (403); let a policy of the server's token read that path, or renew the token."
    )


def test_a_token_from_a_file_is_read_each_time(double: VaultDouble, tmp_path: Path) -> None:
    file = tmp_path / "token"
    vault = server(double, VaultLogin(token_file=file))
    assert outage(vault) == "JOBYARD_VAULT_TOKEN_FILE holds no token that can be read."
    file.write_text(f"{TOKEN}\n")
    assert vault.read(PATH)["password"] == "correct horse"
    double.tokens = {"hvs.another"}
    file.write_text("hvs.another")
    assert vault.read(PATH)["password"] == "correct horse"


def test_an_approle_logs_in_again_once_its_token_has_run_out(double: VaultDouble) -> None:
    vault = server(double, VaultLogin(**ROLE))
    for _ in range(2):
        vault.read(PATH)
    double.tokens = {TOKEN}
    assert vault.read(PATH)["password"] == "correct horse"
    logins = [each for each in double.asked if each == "POST /v1/auth/approle/login"]
    assert len(logins) == 2
    double.denied.add(PATH)
    assert "Vault denies it (403)" in refusal(vault)


def test_an_approle_that_vault_does_not_know(double: VaultDouble) -> None:
    vault = server(double, VaultLogin(role_id="jobyard", secret_id="wrong"))
    assert refusal(vault) == (
        "Vault refuses the server's AppRole (400); look at JOBYARD_VAULT_ROLE_ID and _SECRET_ID."
    )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b'{"errors": ["Vault is sealed"]}', "Vault is sealed."),
        (500, b'{"errors": ["internal error"]}', "Vault answers with status 500 instead of the secret."),
        (429, b"{}", "Vault answers with status 429 instead of the secret."),
        (307, b"", "Vault answers with status 307 instead of the secret."),
        (502, b"<html>", "Vault answers with status 502 instead of the secret."),
        (200, b"<html>", "what answers at JOBYARD_VAULT_ADDR is no Vault."),
    ],
)
def test_what_may_be_over_soon(double: VaultDouble, status: int, body: bytes, said: str) -> None:
    double.status, double.body = status, body
    assert outage(server(double)) == said


def test_more_than_a_secret_is_refused(double: VaultDouble) -> None:
    double.secrets[PATH] = {"large": "x" * MOST_BYTES}
    assert (
        refusal(server(double))
        == f"Vault's answer has more than {MOST_BYTES:,} bytes; name a smaller secret."
    )


def test_what_does_not_answer_is_left_alone_for_a_while(double: VaultDouble) -> None:
    ticks = Ticks()
    vault = server(double, seconds=0.2, ticks=ticks)
    double.hanging = True
    assert outage(vault) == "Vault did not answer in 0.2 s."
    asked = len(double.asked)
    assert outage(vault) == "Vault did not answer in 0.2 s."
    assert len(double.asked) == asked
    double.hanging, ticks.now = False, REST_SECONDS
    double.released.set()
    assert vault.read(PATH)["password"] == "correct horse"
    double.hanging = False
    assert vault.read(PATH)["password"] == "correct horse"


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert outage(VaultServer(address, VaultLogin(token=TOKEN))) == "Vault can't be reached."


def test_few_wait_for_a_slow_one_at_once(double: VaultDouble) -> None:
    """Whoever comes when others wait already is sent away, and does not wait as long as they do."""
    double.hanging = True
    vault = server(double, seconds=30)

    def ask(number: int) -> str:
        if number == 2:
            eventually(lambda: len(double.asked) == 2)
            said = outage(vault)
            double.hanging = False
            double.released.set()
            return said
        try:
            return str(vault.read(PATH)["password"])
        except SecretUnavailable as error:
            return str(error)

    answers = together(3, ask)
    assert answers[2] == "Vault is still being asked for others."


def test_neither_token_nor_secret_is_in_what_it_is_called(double: VaultDouble) -> None:
    login = VaultLogin(token=TOKEN, secret_id="the id")
    said = repr(server(double, login)) + repr(login)
    assert TOKEN not in said
    assert "the id" not in said


def test_a_login_can_be_tried_without_reading(double: VaultDouble) -> None:
    server(double).check()
    assert double.asked == ["GET /v1/auth/token/lookup-self"]
    with pytest.raises(SecretRefused):
        server(double, VaultLogin(token="hvs.wrong")).check()
