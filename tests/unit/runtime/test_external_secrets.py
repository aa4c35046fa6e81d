"""Reading external secrets by the operator's rules, with the variable named in whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.external_secrets import (
    EnvironmentSecret,
    ExternalSecret,
    FileSecret,
    SecretRefused,
    SecretRules,
    SecretUnavailable,
    VaultSecret,
    read_allowed_paths,
    read_allowed_variables,
)
from app.runtime.external_secrets import ExternalSecrets
from app.secret_sources.files import SecretFiles
from app.secret_sources.vault import VaultLogin, VaultServer
from tests.support.vault import TOKEN, VaultDouble, vault_double

DB = VaultSecret("secret/data/shop/db", "password")


@pytest.fixture
def double() -> Iterator[VaultDouble]:
    with vault_double() as double:
        double.secrets[DB.path] = {"password": "of Vault", "user": "shop", "port": 5432}
        yield double


@pytest.fixture
def source(tmp_path: Path, double: VaultDouble) -> ExternalSecrets:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "key").write_text("of a file\n")
    rules = SecretRules(
        has_files=True,
        variables=read_allowed_variables("shop:SHOP_*"),
        has_vault=True,
        paths=read_allowed_paths("secret/data/{project}/*"),
    )
    vault = VaultServer(double.address, VaultLogin(token=TOKEN))
    return ExternalSecrets(rules, {"SHOP_KEY": "of a variable"}, SecretFiles(tmp_path), vault)


def said(
    source: ExternalSecrets, reference: ExternalSecret, kind: type[Exception], project: str = "shop"
) -> str:
    with pytest.raises(kind) as error:
        source.read({"TOKEN": reference}, project)
    return str(error.value)


def test_from_wherever_they_are(source: ExternalSecrets, double: VaultDouble) -> None:
    wanted = {
        "A": FileSecret("key"),
        "B": EnvironmentSecret("SHOP_KEY"),
        "C": DB,
        "D": VaultSecret(DB.path, "user"),
    }
    assert source.read(wanted, "shop") == {
        "A": "of a file",
        "B": "of a variable",
        "C": "of Vault",
        "D": "shop",
    }
    assert double.asked == [f"GET /v1/{DB.path}"]


def test_nothing_is_asked_for_nothing(double: VaultDouble) -> None:
    assert ExternalSecrets().read({}, "shop") == {}


def test_another_project_may_not(source: ExternalSecrets, double: VaultDouble) -> None:
    for reference in (EnvironmentSecret("SHOP_KEY"), DB):
        assert said(source, reference, SecretRefused, "billing").startswith(
            f"TOKEN can't be read from {reference}: JOBYARD_"
        )
    assert said(source, FileSecret("key"), SecretRefused, "billing") == (
        "TOKEN can't be read from file key: there is no such file; put it into billing/ of JOBYARD_SECRETS_DIR."
    )
    assert double.asked == []


def test_the_sentence_names_variable_place_and_remedy(source: ExternalSecrets, double: VaultDouble) -> None:
    assert said(source, EnvironmentSecret("SHOP_NONE"), SecretRefused) == (
        "TOKEN can't be read from environment variable SHOP_NONE: "
        "the server was started without it; set it and start the server again."
    )
    for key in ("none", "port"):
        assert said(source, VaultSecret(DB.path, key), SecretRefused) == (
            f"TOKEN can't be read from Vault {DB.path}#{key}: "
            "there is no text by that key; write one, or name another key."
        )
    double.status, double.body = 503, b'{"errors": ["Vault is sealed"]}'
    assert said(source, DB, SecretUnavailable) == (
        "TOKEN can't be read from Vault secret/data/shop/db#password: Vault is sealed."
    )


def test_there_is_an_end_to_waiting(source: ExternalSecrets, double: VaultDouble) -> None:
    double.hanging = True
    impatient = ExternalSecrets(source.rules, source.variables, source.files, source.vault, seconds=0.2)
    with pytest.raises(SecretUnavailable) as error:
        impatient.read({"FIRST": FileSecret("key"), "TOKEN": DB}, "shop")
    assert str(error.value) == (
        "TOKEN can't be read from Vault secret/data/shop/db#password: there was no answer in 0.2 s."
    )


def test_no_value_is_in_what_it_is_called(source: ExternalSecrets) -> None:
    assert "of a variable" not in repr(source)
