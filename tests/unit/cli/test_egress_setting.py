"""What is left out by `JOBYARD_EGRESS`, set and unset."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.config import read_settings
from app.domain.egress import Reach


def test_a_registry_beside_the_server_is_fine_until_the_setting_leaves_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, near, far = map(ip_address, ("127.0.0.1", "10.0.0.1", "192.0.2.1"))
    monkeypatch.delenv("JOBYARD_EGRESS", raising=False)
    assert [read_settings().may_reach.leaves_out(each) for each in (here, near, far)] == [None] * 3
    monkeypatch.setenv("JOBYARD_EGRESS", "private")
    assert [read_settings().may_reach.leaves_out(each) for each in (here, near, far)] == [
        Reach.HOST,
        None,
        None,
    ]
    monkeypatch.setenv("JOBYARD_REGISTRY", "localhost:5000/team")
    own = read_settings().may_reach
    assert (own.leaves_out(here, "localhost:5000"), own.leaves_out(here, "localhost:5001")) == (
        None,
        Reach.HOST,
    )
