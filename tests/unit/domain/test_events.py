from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events import RepositoryRef, one_line, repo_key


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/report",
        "https://github.com/acme/report/",
        "https://github.com/acme/report.git",
        "https://GitHub.com/acme/report.git",
        "https://github.com:443/acme/report",
        "https://ada:token@github.com/acme/report.git",
        "http://github.com/acme/report",
        "https://github.com./acme//report.git",
        "https://github.com/Acme/Report",
        "git://github.com/acme/report.git",
        "git@github.com:acme/report.git",
        "github.com:acme/report",
        "git@github.com:/acme/report.git",
        "ssh://git@github.com/acme/report.git",
        "ssh://git@github.com:22/acme/report",
        "  https://github.com/acme/report.git\n",
    ],
)
def test_all_forms_of_an_address_are_one_repository(url: str) -> None:
    assert repo_key(url) == "github.com/acme/report"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://git.example.com/Acme/Report.git", "git.example.com/Acme/Report"),
        ("https://git.example.com:3000/acme/report", "git.example.com:3000/acme/report"),
        ("ssh://git@git.example.com:2222/acme/report.git", "git.example.com:2222/acme/report"),
        ("https://gitlab.com/group/sub/report.git", "gitlab.com/group/sub/report"),
        ("file:///srv/git/report.git", "file:///srv/git/report.git"),
        ("file:///srv/git/../git/report/", "file:///srv/git/report"),
        ("file:///srv/my%20git/report", "file:///srv/my git/report"),
        ("/srv/git/report", "file:///srv/git/report"),
        ("nonsense", "nonsense"),
        ("https://github.com/", "https://github.com/"),
        ("https://[::1/x", "https://[::1/x"),
        ("https://host:port/x", "https://host:port/x"),
        ("", ""),
    ],
)
def test_keys(url: str, key: str) -> None:
    assert repo_key(url) == key


def test_other_repositories_have_other_keys() -> None:
    assert repo_key("https://github.com/acme/report2") != repo_key("https://github.com/acme/report")
    assert repo_key("https://gitlab.com/acme/report") != repo_key("https://github.com/acme/report")


@given(st.text(st.characters(codec=None)) | st.from_regex(r"(https|ssh|file)://.*"))
def test_any_text_has_a_key(text: str) -> None:
    assert isinstance(repo_key(text), str)


def test_a_repository_is_known_by_all_its_addresses() -> None:
    repository = RepositoryRef(
        "acme/report", ("https://github.com/acme/report", "ssh://git@ssh.github.com:443/acme/report")
    )
    assert repository.keys == {"github.com/acme/report", "ssh.github.com:443/acme/report"}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Mend the report\n\nIt was broken.", "Mend the report"),
        ("\r\n  Mend it \r\nmore", "Mend it"),
        ("\x1b]0;title\x07\x1b[2Jgone", "\ufffd]0;title\ufffd\ufffd[2Jgone"),
        ("safe\u202egnp.exe\u2066", "safe\ufffdgnp.exe\ufffd"),
        ("Größe, 大きさ, \U0001f468\u200d\U0001f469", "Größe, 大きさ, \U0001f468\u200d\U0001f469"),
        ("", ""),
    ],
)
def test_one_line_of_what_a_stranger_wrote(written: str, shown: str) -> None:
    assert one_line(written) == shown
