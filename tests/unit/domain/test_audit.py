"""What the audit log tells of a change, and whom it names."""

from __future__ import annotations

from app.domain.audit import LONGEST_VALUE, Action, Actor, Kind, actor_of, changes_between
from app.domain.principals import Grant, Principal, Role


def test_what_is_shown_is_told_from_and_to() -> None:
    before, after = {"a": 1, "b": {"c": "x", "d": 2}}, {"a": 1, "b": {"c": "y"}}
    assert changes_between(before, after, before, after) == {
        "b.c": {"from": "x", "to": "y"},
        "b.d": {"from": 2, "to": None},
    }


def test_of_a_secret_only_that_it_changed_is_told() -> None:
    before, after = {"env": {"S": {"value": "sealed one"}}}, {"env": {"S": {"value": "sealed two"}}}
    shown = {"env": {"S": {"value": None}}}
    assert changes_between(before, after, shown, shown) == {"env.S.value": {"changed": True}}
    assert changes_between({}, {"username": ""}, {}, {"username": ""}) == {}
    assert changes_between({}, after, {}, shown) == {"env.S.value": {"changed": True}}
    assert changes_between(before, {}, shown, {}) == {"env.S.value": {"changed": True}}
    assert changes_between(before, {"env": {"S": "open"}}, shown, {"env": {"S": "open"}}) == {
        "env.S": {"from": None, "to": "open"},
        "env.S.value": {"changed": True},
    }


def test_a_long_value_is_shortened() -> None:
    before, after = {"script": "x" * 9999}, {"script": ["y" * 9999]}
    change = changes_between(before, after, before, after)["script"]
    assert all(len(change[side]) == LONGEST_VALUE + 1 for side in ("from", "to"))


def test_an_actor_is_named_as_what_they_came_as() -> None:
    grants = (Grant.of_role(Role.ADMIN),)
    address = "192.0.2.1"
    assert actor_of(Principal("ada", grants, user_id=7), address) == Actor("ada", Kind.USER, 7, address)
    assert actor_of(Principal("ci", grants, token_id=3), address) == Actor("ci", Kind.TOKEN, 3, address)
    assert actor_of(Principal("admin token", grants), address).kind is Kind.ADMIN_TOKEN
    assert actor_of(None, address) == Actor("nobody", Kind.NOBODY, None, address)
    assert actor_of(None, address, Kind.LINK) == Actor("a link", Kind.LINK, None, address)


def test_an_action_says_the_type_of_what_it_is_done_to() -> None:
    assert {each.type for each in (Action.SIGN_IN_DONE, Action.SIGN_OUT, Action.USER_GRANT)} == {"user"}
    assert Action.SECRET_GROUP_CHANGE.type == "secret_group"
