"""The branches of a repository, as its Git server lists them."""

from __future__ import annotations

import pytest

from app.checkout import Checkouts, RepositoryNotFound
from tests.support.git_server import GitServer
from tests.support.repositories import Repository


def test_the_default_branch_is_first_and_tags_are_none(
    checkouts: Checkouts, repository: Repository, url: str
) -> None:
    for name in ("a-feature", "release/1.0", "refs/heads/odd"):
        repository.git("branch", name)
    repository.git("tag", "v1")
    assert checkouts.branches_of(url) == ("main", "a-feature", "refs/heads/odd", "release/1.0")


def test_a_repository_that_is_not_there_is_told(checkouts: Checkouts, server: GitServer) -> None:
    with pytest.raises(RepositoryNotFound):
        checkouts.branches_of(server.url("nothing/.git"))


def test_one_without_a_commit_has_none(checkouts: Checkouts, repository: Repository) -> None:
    empty = Repository(repository.path.parent / "empty")
    assert checkouts.branches_of(empty.url) == ()
