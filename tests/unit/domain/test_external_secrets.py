"""What may name a secret that is kept elsewhere, and which project may have it."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.external_secrets import (
    Allowed,
    EnvironmentSecret,
    ExternalSecret,
    FileSecret,
    SecretRefused,
    SecretRules,
    VaultSecret,
    is_file_path,
    is_vault_path,
    read_allowed_paths,
    read_allowed_variables,
    reference_from_json,
    reference_to_json,
    usable,
)
from app.domain.job.codec import env_from_json, env_to_json, shown_env
from app.domain.job.variables import EnvScope, EnvValue

PARTS = st.sampled_from(["..", ".", "", "db", "a b", "...", "..data", "\\", "\0", "é", "%2e%2e", "?x", "#"])
PATHS = st.lists(PARTS, max_size=5).map("/".join) | st.text(max_size=20)
FILES = SecretRules(has_files=True)
VAULT = SecretRules(has_vault=True, paths=read_allowed_paths("secret/data/{project}/*,billing:kv/stripe"))


@given(PATHS)
def test_no_path_that_is_taken_leads_out_of_its_directory(path: str) -> None:
    if is_file_path(path):
        whole = os.path.normpath(f"/secrets/shop/{path}")
        assert whole == f"/secrets/shop/{path}"
        assert "\0" not in whole
    if is_vault_path(path):
        assert not {"", ".", ".."}.intersection(path.split("/"))
        assert not set("%?#\\\0").intersection(path)


@given(
    st.lists(st.sampled_from(["db", "password", "a-b", "v1.2", "..data"]), min_size=1, max_size=4).map(
        "/".join
    )
)
def test_plain_paths_are_taken(path: str) -> None:
    assert is_file_path(path)
    assert is_vault_path(path)


@pytest.mark.parametrize(
    "reference",
    [FileSecret("db/password"), EnvironmentSecret("API_KEY"), VaultSecret("secret/data/app", "password")],
)
def test_a_reference_is_stored_and_shown_as_it_was_given(reference: ExternalSecret) -> None:
    assert reference_from_json(reference_to_json(reference)) == reference
    given_ = {"TOKEN": EnvValue("", True, EnvScope.BOTH, reference)}
    assert env_from_json(env_to_json(given_)) == given_
    assert shown_env(given_) == env_to_json(given_)
    assert "value" not in shown_env(given_)["TOKEN"]


def test_a_reference_to_something_else_is_of_a_later_version() -> None:
    with pytest.raises(ValueError, match="no secret is read from 'gcp'"):
        reference_from_json({"from": "gcp"})


def test_what_anybody_may_see_of_a_variable() -> None:
    assert EnvValue("x").shown == "x"
    assert EnvValue("sealed", secret=True).shown == "***"
    references = FileSecret("db/p"), EnvironmentSecret("KEY"), VaultSecret("secret/data/a", "k")
    assert [EnvValue("", True, reference=each).shown for each in references] == [
        "from file db/p",
        "from environment variable KEY",
        "from Vault secret/data/a#k",
    ]


class TestRules:
    def test_by_default_a_project_may_have_nothing(self) -> None:
        rules = SecretRules()
        assert rules.why_not(FileSecret("p"), "shop") == (
            "this server reads no files; have its operator set JOBYARD_SECRETS_DIR, or give the value."
        )
        assert rules.why_not(VaultSecret("secret/data/shop/a", "k"), "shop") == (
            "this server asks no Vault; have its operator set JOBYARD_VAULT_ADDR, or give the value."
        )
        assert rules.why_not(EnvironmentSecret("KEY"), "shop") == (
            "JOBYARD_SECRETS_ENV lets project shop read no variable KEY; "
            "name another, or have the server's operator allow it."
        )

    def test_variables_are_of_a_project_or_of_all(self) -> None:
        rules = SecretRules(variables=read_allowed_variables("shop:DB_*, API_KEY"))
        may = {
            (project, name): rules.why_not(EnvironmentSecret(name), project) == ""
            for project in ("shop", "billing")
            for name in ("DB_PASSWORD", "API_KEY", "API_KEY_2", "HOME")
        }
        assert [key for key, value in may.items() if value] == [
            ("shop", "DB_PASSWORD"),
            ("shop", "API_KEY"),
            ("billing", "API_KEY"),
        ]
        assert rules.lets_somebody_read("DB_PASSWORD")
        assert not rules.lets_somebody_read("HOME")

    def test_the_servers_own_settings_are_never_read(self) -> None:
        rules = SecretRules(variables=[Allowed("J*"), Allowed("JOBYARD_SECRET_KEY")])
        assert rules.why_not(EnvironmentSecret("JAVA_KEY"), "shop") == ""
        assert rules.why_not(EnvironmentSecret("JOBYARD_SECRET_KEY"), "shop") != ""
        assert not rules.lets_somebody_read("JOBYARD_ADMIN_TOKEN")

    def test_paths_of_vault_are_the_projects_own(self) -> None:
        assert VAULT.why_not(VaultSecret("secret/data/shop/a/b", "k"), "shop") == ""
        assert VAULT.why_not(VaultSecret("kv/stripe", "k"), "billing") == ""
        for path in (
            "secret/data/shop2/a",
            "secret/data/billing/a",
            "secret/data/shop",
            "kv/stripe",
            "sys/mounts",
        ):
            assert VAULT.why_not(VaultSecret(path, "k"), "shop") == (
                f"JOBYARD_VAULT_PATHS lets project shop read nothing at {path}; "
                "name another, or have the server's operator allow it."
            )

    def test_files_are_the_operators_to_lay_out(self) -> None:
        assert FILES.why_not(FileSecret("anything"), "shop") == ""

    @pytest.mark.parametrize("text", ["*", "shop:*", ":KEY", "a b", "JOBYARD_*", "Shop:KEY", "K-1", "x*y"])
    def test_what_no_setting_of_variables_can_say(self, text: str) -> None:
        with pytest.raises(ValueError) as error:
            read_allowed_variables(text)
        assert str(error.value).endswith(", such as shop:DB_* or API_KEY")

    @pytest.mark.parametrize("text", ["/secret/*", "secret//x", "secret/../x", "secret/%2e/x", ":kv/x", "*"])
    def test_what_no_setting_of_paths_can_say(self, text: str) -> None:
        with pytest.raises(ValueError) as error:
            read_allowed_paths(text)
        assert str(error.value).endswith(
            "is not [PROJECT:]NAME, nor [PROJECT:]PREFIX*, such as shop:kv/shop/* or secret/data/{project}/*"
        )


def test_a_newline_at_the_end_is_left_out() -> None:
    assert [usable(text) for text in ("a\n", "a\r\n", "a\n\n", " a ")] == ["a", "a", "a\n", " a "]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n", "it is empty; give it a text."),
        ("a\0b", "it has a NUL character, which no variable can have."),
        ("x" * 100_001, "it has 100,001 characters; a variable has at most 100,000."),
    ],
)
def test_what_no_variable_can_hold(text: str, why: str) -> None:
    with pytest.raises(SecretRefused) as refused:
        usable(text)
    assert str(refused.value) == why
