from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.github_api import GitHubDouble, github_double
from tests.support.installation import Installation
from tests.support.told_forge import ToldForge


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        yield double


@pytest.fixture
def told(place: Installation, github: GitHubDouble) -> ToldForge:
    """With a credential that may."""
    told = ToldForge(place, github)
    told.allow()
    return told
