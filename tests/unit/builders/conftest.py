from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from builders.source import SourceTree

MakeTree = Callable[[Mapping[str, str]], SourceTree]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """A source tree of the given files; called again, another one."""
    made = 0

    def make(files: Mapping[str, str]) -> SourceTree:
        nonlocal made
        made += 1
        root = tmp_path / f"tree{made}"
        root.mkdir()
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return SourceTree(root)

    return make
