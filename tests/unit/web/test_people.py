"""Who may what, as the pages tell it, and what browsers are called."""

from __future__ import annotations

import pytest

from app.domain.principals import RIGHTS_OF, Right, Role
from app.web.pages.people import WORDS, device, who_may_what


def test_each_right_is_told_with_the_roles_that_have_it() -> None:
    assert set(WORDS) == set(Right)
    for column, role in enumerate(Role):
        has = {right for right, row in zip(WORDS, who_may_what(), strict=True) if row.has[column]}
        assert has == RIGHTS_OF[role]
    assert (
        next(row.words for row in who_may_what() if row.is_of_all)
        == "Create and delete projects, set their limits"
    )


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "called"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/126.0 Safari/537.36", "Chrome on Linux"),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/126.0 Safari/537.36 Edg/126.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.9.1", "curl"),
        ("something else", ""),
        ("", ""),
    ],
)
def test_a_browser_is_called_by_its_name_and_system(agent: str, called: str) -> None:
    assert device(agent) == called
