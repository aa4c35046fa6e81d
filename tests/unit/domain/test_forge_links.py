"""Where forges show commits: by the address of the repository alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.forge_links import commit_page, comparison_page, repository_page

OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://github.com/acme/report.git", "https://github.com/acme/report"),
        ("git@github.com:acme/report.git", "https://github.com/acme/report"),
        ("ssh://git@git.acme.test:2222/team/report", "https://git.acme.test/team/report"),
        ("http://git.acme.test:3000/team/report", "http://git.acme.test:3000/team/report"),
        ("https://gitlab.com/a/b/c/", "https://gitlab.com/a/b/c"),
        ("/srv/git/report", None),
        ("file:///srv/git/report", None),
        ("https://github.com", None),
        ("https://[::1", None),
        ("", None),
    ],
)
def test_the_page_of_a_repository(url: str, page: str | None) -> None:
    assert repository_page(url) == page


@pytest.mark.parametrize(
    ("url", "commit", "compare"),
    [
        (
            "git@github.com:acme/report.git",
            f"https://github.com/acme/report/commit/{NEW}",
            f"https://github.com/acme/report/compare/{OLD}...{NEW}",
        ),
        (
            "https://codeberg.org/acme/report",
            f"https://codeberg.org/acme/report/commit/{NEW}",
            f"https://codeberg.org/acme/report/compare/{OLD}...{NEW}",
        ),
        (
            "https://gitlab.acme.test/a/report.git",
            f"https://gitlab.acme.test/a/report/-/commit/{NEW}",
            f"https://gitlab.acme.test/a/report/-/compare/{OLD}...{NEW}",
        ),
        (
            "https://bitbucket.org/acme/report",
            f"https://bitbucket.org/acme/report/commits/{NEW}",
            f"https://bitbucket.org/acme/report/branches/compare/{NEW}%0D{OLD}",
        ),
    ],
)
def test_each_forge_has_its_shape(url: str, commit: str, compare: str) -> None:
    assert commit_page(url, NEW) == commit
    assert comparison_page(url, OLD, NEW) == compare


@pytest.mark.parametrize("sha", [None, "", "main", "b" * 6, '"><script>', "B" * 40])
def test_what_is_no_commit_leads_nowhere(sha: str | None) -> None:
    assert commit_page("https://github.com/acme/report", sha) is None


@given(st.text())
def test_a_link_is_one_of_the_web_whatever_the_address(url: str) -> None:
    page = repository_page(url)
    assert page is None or page.startswith(("https://", "http://"))
    assert page is None or not set(" \"<>'").intersection(page)
