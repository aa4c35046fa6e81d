"""One server and one Git server for all end-to-end tests; each test has a repository and a job of its own.

Tests of pages have a browser instead, which visits the installation `made` that they furnish.
"""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import browsing, listen, serving, visitor
from tests.support.git_server import GitServer, git_server
from tests.support.hosted import HostedJob
from tests.support.seed import World
from tests.support.server import JobyardServer, jobyard_server

NUMBERS = count(1)


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forge")


@pytest.fixture(scope="session")
def forge(repositories: Path) -> Iterator[GitServer]:
    with git_server(repositories) as server:
        yield server


@pytest.fixture(scope="session")
def jobyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobyardServer]:
    with jobyard_server(tmp_path_factory.mktemp("jobyard") / "data") as server:
        yield server


@pytest.fixture
def hosted(jobyard: JobyardServer, forge: GitServer, repositories: Path) -> HostedJob:
    """A repository without a commit, on the Git server; its job isn't made yet."""
    return _host(jobyard, forge, repositories)


@pytest.fixture
def host(forge: GitServer, repositories: Path) -> Callable[[JobyardServer], HostedJob]:
    """The same for a server of one's own."""
    return lambda server: _host(server, forge, repositories)


def _host(server: JobyardServer, forge: GitServer, repositories: Path) -> HostedJob:
    root = repositories / f"{next(NUMBERS)}"
    root.mkdir()
    return HostedJob(server, forge, root, f"report-{root.name}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as each:
        yield each


@pytest.fixture
def address(made: World) -> Iterator[str]:
    with serving(made) as each:
        yield each


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A visitor on a desk; whatever the browser complains about fails the test."""
    each = visitor(browser, address)
    complaints = listen(each)
    yield each
    each.context.close()
    assert complaints == []
