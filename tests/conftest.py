"""For all tests: an order of chance, what is dealt to which worker, and nobody beyond this machine."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support import guard, order

# How long an example takes depends on what else the machine does: no test fails by that.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    guard.stay_here()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["order"] = order.seed_of(node.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = order.shuffled(items, order.seed_of(config))
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(order.group_of(item, config.rootpath)))


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it after each test."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"The order was that of JOBYARD_ORDER={order.seed_of(config)}.")


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    """Whoever was to be spoken with, and whatever became of that, the test fails."""
    guard.ATTEMPTS.clear()
    yield
    assert guard.ATTEMPTS == []
