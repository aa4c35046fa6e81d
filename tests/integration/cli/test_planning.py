"""What would be built of a repository that is named by its address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.repositories import Repository


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command where there is no server."""
    monkeypatch.chdir(tmp_path)
    return Cli(capsys)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "report")
    made.commit({"job.py": "print(1)\n"})
    return made


def test_the_default_branch_is_fetched_and_looked_at(alone: Cli, repository: Repository) -> None:
    done = alone("plan", repository.url)
    assert (done.status, done.err) == (0, "")
    assert "run              python job.py" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{url}", "--branch", "none"), "The branch none does not exist in {url}."),
        (("{url}-gone",), "There is no repository at {url}-gone"),
        (("ext::sh -c id",), "is not a directory."),
        ((".", "--branch", "main"), "--branch is of a Git URL, and . is none."),
    ],
)
def test_what_can_not_be_looked_at(
    alone: Cli, repository: Repository, arguments: tuple[str, ...], said: str
) -> None:
    done = alone("plan", *(each.format(url=repository.url) for each in arguments))
    assert (done.status, done.out) == (1, "")
    assert said.format(url=repository.url) in done.err
    assert done.err.count("\n") == 1
