"""Tests in an order of chance, so that none lives on what another left.

Files are shuffled, in each file the classes and functions, and in each class its tests: what a file or a class sets up
is still set up once. `JOBYARD_ORDER=4711 scripts/test …` repeats an order.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Hashable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

KEY = pytest.StashKey[int]()
LONG = ("contract", "e2e", "fault")


def seed_of(config: pytest.Config) -> int:
    """The same in all workers of one session."""
    if KEY not in config.stash:
        given = getattr(config, "workerinput", {}).get("order") or os.environ.get("JOBYARD_ORDER")
        config.stash[KEY] = int(given or random.SystemRandom().randrange(1, 1_000_000))
    return config.stash[KEY]


def shuffled(items: Sequence[pytest.Item], seed: int) -> list[pytest.Item]:
    chance = random.Random(seed)

    def mixed(items: Sequence[pytest.Item], *keys: Callable[[pytest.Item], Hashable]) -> list[pytest.Item]:
        if not keys:
            return list(items)
        first, *others = keys
        groups = [list(group) for _, group in groupby(items, first)]
        chance.shuffle(groups)
        return [item for group in groups for item in mixed(group, *others)]

    return mixed(items, lambda item: item.path, _class_or_itself, lambda item: item.nodeid)


def group_of(item: pytest.Item, root: Path) -> str:
    """What one worker takes whole: a file, which sets things up once; of long tests that share nothing, each alone."""
    path = item.path.relative_to(root)
    return item.nodeid if path.parts[1] in LONG and not _shares_a_fixture(item) else str(path)


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether something is set up for several tests of its file; what a session has, each worker has once."""
    known: dict[str, Sequence[pytest.FixtureDef[Any]]] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    return any(each.scope in ("module", "class", "package") for of_name in known.values() for each in of_name)


def _class_or_itself(item: pytest.Item) -> Any:
    parent = item.getparent(pytest.Class)
    return (parent or item).nodeid
