"""Of which pushes a repository's own file is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.commands.repository_files import speaks_for
from app.domain.events import Push, RepositoryRef
from app.domain.job.records import Source
from app.domain.job.spec import BuildConfig

URL = "https://github.com/acme/report"
SOURCE = Source(1, 1, "images", URL, "github.com/acme/report", "main", BuildConfig(), config_file=True)
PUSH = Push(
    forge="github",
    repository=RepositoryRef("acme/report", (URL,)),
    ref="refs/heads/main",
    before=None,
    after="a" * 40,
    deleted=False,
    created=True,
    forced=False,
    commits=(),
    head_message="",
    changed_files=None,
    pusher="ada",
    compare_url="",
)


def test_the_branch_s_own_commits_speak() -> None:
    assert speaks_for(PUSH, SOURCE)
    assert not speaks_for(PUSH, replace(SOURCE, config_file=False))


@pytest.mark.parametrize(
    "push",
    [
        replace(PUSH, ref="refs/heads/feature"),
        replace(PUSH, ref="refs/tags/main"),
        replace(PUSH, ref="refs/pull/1/head"),
        replace(PUSH, ref="refs/heads/gh-readonly-queue/main/pr-1"),
        replace(PUSH, pull_request=object()),  # whatever ref a forge may tell it by
        replace(PUSH, after=None, deleted=True),
    ],
)
def test_nothing_else_does(push: Push) -> None:
    assert not speaks_for(push, SOURCE)
