"""Variables of a flow's run as lines of text: nothing is lost by being shown and read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidValue
from app.web.pages.flow_env import secrets_shown, secrets_typed, shown_env, typed_env
from app.web.pages.form_fields import as_sent

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
PLACES = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}){0,2}", fullmatch=True)
SCOPES = st.sampled_from([{}, {"scope": "run"}, {"scope": "build"}, {"scope": "both"}])
PLAIN = st.one_of(
    TEXTS, st.builds(lambda value, scope: {"value": value, "secret": False, **scope}, TEXTS, SCOPES)
)
HIDDEN = st.builds(lambda scope: {"value": None, "secret": True, **scope}, SCOPES)
ELSEWHERE = st.one_of(
    st.builds(lambda path, scope: {"from": "file", "path": path, "secret": True, **scope}, PLACES, SCOPES),
    st.builds(lambda name, scope: {"from": "env", "name": name, "secret": True, **scope}, NAMES, SCOPES),
    st.builds(
        lambda path, key, scope: {"from": "vault", "path": path, "key": key, "secret": True, **scope},
        *(PLACES, NAMES, SCOPES),
    ),
)
UNKNOWN = st.just({"scope": "build"})  # such as of a later version
ENVS = st.dictionaries(NAMES, st.one_of(st.none(), PLAIN, HIDDEN, ELSEWHERE, UNKNOWN), max_size=6)


@given(ENVS)
def test_what_is_shown_and_sent_again_is_as_it_was(env: dict[str, Any]) -> None:
    sent = {field: as_sent(text).replace("\n", "\r\n") for field, text in shown_env(env).items()}
    assert typed_env(sent, env, str) == env


@given(st.dictionaries(NAMES, TEXTS.map(as_sent), max_size=6))
def test_what_is_typed_anew_is_what_its_lines_say(env: dict[str, str]) -> None:
    assert typed_env(shown_env(env), {}, str) == env
    assert (
        typed_env({"secrets": shown_env(env)["env"]}, {}, str)
        == {name: {"value": value, "secret": True} for name, value in env.items()}
        if all(env.values())
        else True
    )


def test_where_a_secret_is_kept_is_changed_and_its_scope_stays() -> None:
    before = {"KEY": {"from": "file", "path": "db/old", "secret": True, "scope": "both"}}
    typed = {"elsewhere": "KEY=vault:secret/data/app#password\nNEW=env:TOKEN"}
    assert typed_env(typed, before, str) == {
        "KEY": {"from": "vault", "path": "secret/data/app", "key": "password", "scope": "both"},
        "NEW": {"from": "env", "name": "TOKEN"},
    }


def test_no_line_of_a_typed_secret_is_shown_again() -> None:
    typed = "PEM=-----\n private\n -----\nKEPT=***\nEMPTY="
    assert secrets_shown(typed) == "PEM=\nKEPT=***\nEMPTY="
    assert secrets_typed(typed) == ["PEM"]


@pytest.mark.parametrize("line", ["KEY", "KEY=", "KEY=db", "KEY=http:x", "KEY=file:"])
def test_a_place_is_of_a_known_kind(line: str) -> None:
    with pytest.raises(InvalidValue, match="KEY is from nowhere: write KEY=file:PATH"):
        typed_env({"elsewhere": line}, {}, lambda field: f"{field}.7")
