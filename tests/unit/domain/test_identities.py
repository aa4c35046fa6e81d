"""Roles as an identity provider's claim gives them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.identities import claim_at, roles_claimed
from app.domain.principals import Role

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)


@pytest.mark.parametrize(
    ("claims", "path", "roles"),
    [
        ({"roles": "admin"}, "roles", {None: "admin"}),
        ({"roles": ["viewer", "admin", "operator"]}, "roles", {None: "admin"}),
        ({"roles": ["operator", "acme:admin", "acme:viewer"]}, "roles", {None: "operator", "acme": "admin"}),
        ({"realm_access": {"roles": ["viewer"]}}, "realm_access.roles", {None: "viewer"}),
        ({"https://example.com/roles": "viewer"}, "https://example.com/roles", {None: "viewer"}),
        ({"roles": ["Admin", "admins", "acme:god", ":", "", 7, None]}, "roles", {}),
        ({"roles": {"admin": True}}, "roles", {}),
        ({"roles": None}, "roles", {}),
        ({}, "roles", {}),
        ({"roles": "viewer"}, "roles.deeper", {}),
    ],
)
def test_the_highest_role_for_each_project_counts(claims: Any, path: str, roles: dict[str, str]) -> None:
    assert {each.project: each.role for each in roles_claimed(claims, path)} == roles


@given(st.dictionaries(st.sampled_from(["a", "b", "a.b"]), JSON), st.sampled_from(["a", "a.b", "a.b.c", ""]))
def test_no_claim_is_an_error_and_each_role_was_claimed(claims: dict[str, Any], path: str) -> None:
    for each in roles_claimed(claims, path):
        entry = each.role.value if each.project is None else f"{each.project}:{each.role}"
        claim = claim_at(claims, path)
        assert each.role in Role
        assert entry in (claim if isinstance(claim, list) else [claim]) or f":{entry}" in claim
