"""Each example's plan and Dockerfile are as reviewed, and the same wherever the tree lies."""

import shutil
from pathlib import Path

import pytest

from tests.examples.snapshots import EXAMPLES, snapshot


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_plan_and_dockerfile_are_as_expected(example: Path) -> None:
    expected = {name: (example / name).read_text() for name in snapshot(example)}
    assert snapshot(example) == expected


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_same_files_elsewhere_in_another_order_give_the_same(example: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    files = sorted((path for path in (example / "app").rglob("*") if path.is_file()), reverse=True)
    for path in files:
        target = copy / "app" / path.relative_to(example / "app")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert snapshot(copy) == snapshot(example)


def test_every_example_says_what_it_prints_or_why_it_is_refused() -> None:
    for example in EXAMPLES:
        refused = not (example / "Dockerfile.expected").exists()
        assert refused != (example / "expected_output.txt").exists(), example.name
