"""Where secrets are read from: what the settings may be, and what `jobyard doctor` finds there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config import read_settings
from app.domain.errors import UserError
from tests.support.cli import Cli
from tests.support.vault import ROLE, TOKEN, VaultDouble, vault_double

Ask = Callable[[str], tuple[str, str]]


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultDouble]:
    with vault_double() as double:
        monkeypatch.setenv("JOBYARD_VAULT_ADDR", double.address)
        yield double


@pytest.fixture
def ask(cli: Cli) -> Ask:
    def asked(what: str) -> tuple[str, str]:
        done = cli("doctor", "--json")
        assert TOKEN not in done.out + done.err
        (found,) = [each for each in json.loads(done.out)["items"] if each["what"] == what]
        return found["state"], found["sentence"]

    return asked


def test_where_none_are_set_nothing_is_looked_at(cli: Cli) -> None:
    found = {each["what"] for each in json.loads(cli("doctor", "--json").out)["items"]}
    assert not {"secrets in files", "secrets in variables", "Vault"}.intersection(found)


def test_a_directory(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "secrets"
    monkeypatch.setenv("JOBYARD_SECRETS_DIR", str(root))
    assert ask("secrets in files") == (
        "fail",
        f"JOBYARD_SECRETS_DIR: {root} can't be read (No such file or directory).",
    )
    root.mkdir(mode=0o700)
    empty = f"{root} has secrets of: no project yet, as it has no directories."
    assert ask("secrets in files") == ("ok", empty)
    (root / "shop").mkdir()
    (root / "_shared").mkdir()
    assert ask("secrets in files") == ("ok", f"{root} has secrets of: _shared, shop.")
    root.chmod(0o755)
    open_to_all = f"Others on this machine may open {root}: take that from them (chmod o= {root})."
    assert ask("secrets in files") == ("warn", open_to_all)


def test_variables(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_SECRETS_ENV", "shop:SHOP_*")
    assert ask("secrets in variables") == (
        "warn",
        "JOBYARD_SECRETS_ENV names no variable that this process has; give them to the server.",
    )
    monkeypatch.setenv("SHOP_KEY", "never shown")
    assert ask("secrets in variables") == ("ok", "Jobs may have: SHOP_KEY.")
    assert read_settings().secret_variables == {"SHOP_KEY": "never shown"}


def test_a_vault(ask: Ask, vault: VaultDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_VAULT_TOKEN", TOKEN)
    assert ask("Vault") == ("ok", f"{vault.address} answers and takes the server's login.")
    vault.tokens.clear()
    state, sentence = ask("Vault")
    assert state == "fail"
    assert sentence.startswith(f"{vault.address}: Vault denies it (403)")
    vault.status, vault.body = 503, b'{"errors": ["Vault is sealed"]}'
    assert ask("Vault") == ("fail", f"{vault.address}: Vault is sealed.")


def test_a_vault_by_approle(ask: Ask, vault: VaultDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_VAULT_ROLE_ID", ROLE["role_id"])
    monkeypatch.setenv("JOBYARD_VAULT_SECRET_ID", ROLE["secret_id"])
    assert ask("Vault")[0] == "ok"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SECRETS_DIR": "secrets"}, "JOBYARD_SECRETS_DIR is not usable: must be a whole path"),
        ({"SECRETS_ENV": "*"}, "JOBYARD_SECRETS_ENV is not usable: '*' is not [PROJECT:]NAME"),
        ({"SECRETS_ENV": "JOBYARD_*"}, "JOBYARD_SECRETS_ENV is not usable: 'JOBYARD_*' is not"),
        ({"VAULT_PATHS": "../x"}, "JOBYARD_VAULT_PATHS is not usable: '../x' is not [PROJECT:]NAME"),
        ({"VAULT_ADDR": "vault"}, "JOBYARD_VAULT_ADDR is not usable: must begin with https:// or http://"),
        (
            {"VAULT_ADDR": "https://vault.example.com"},
            (
                "JOBYARD_VAULT_ADDR needs one of JOBYARD_VAULT_TOKEN, JOBYARD_VAULT_TOKEN_FILE, "
                "JOBYARD_VAULT_ROLE_ID with JOBYARD_VAULT_SECRET_ID."
            ),
        ),
        (
            {"VAULT_ADDR": "https://vault.example.com", "VAULT_TOKEN": "a", "VAULT_TOKEN_FILE": "/b"},
            "JOBYARD_VAULT_ADDR needs one of",
        ),
    ],
)
def test_what_no_server_starts_with(
    settings: dict[str, str], said: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"JOBYARD_{name}", value)
    with pytest.raises(UserError) as error:
        read_settings()
    assert str(error.value).startswith(said)
