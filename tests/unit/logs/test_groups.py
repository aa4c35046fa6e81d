from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.output import Stream
from app.logs import LogReader, LogWriter, rows_from
from app.logs.groups import LARGEST, Group, group_of, title_of

START = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def group(path: Path, *said: bytes, instances: tuple[int, ...] = (0,)) -> tuple[bytes | None, Group | None]:
    with LogWriter(path) as log:
        for number, text in enumerate(said):
            log.write(START, Stream.STDOUT, text, instances[number % len(instances)])
    first, *others = rows_from(LogReader(path), 0)
    return title_of(first), group_of(first, others)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (b"::group::", b"::endgroup::"),
        (b"##[group]", b"##[endgroup]"),
        (b"\x1b[1m::group::", b"\x1b[0m::endgroup::"),
    ],
)
def test_a_group_is_between_its_marks(tmp_path: Path, begins: bytes, ends: bytes) -> None:
    first = begins + b"Install it\n"
    title, found = group(tmp_path / "a.log", first + b"one\nERROR two\n" + ends + b"\nafter\n")
    assert title == b"Install it"
    assert found == Group(2, 1, len(first), len(first) + 14 + len(ends) + 1, 5)


def test_what_another_instance_says_is_not_hidden(tmp_path: Path) -> None:
    said = (b"::group::One\n", b"other\n", b"::endgroup::\n")
    assert group(tmp_path / "a.log", *said, instances=(0, 1))[1] is None


def test_a_group_that_is_too_large_is_looked_at_no_further(tmp_path: Path) -> None:
    line = b"x" * 999 + b"\n"
    assert (
        group(tmp_path / "a.log", b"::group::One\n" + line * (LARGEST // 1000 + 9) + b"::endgroup::\n")[1]
        is None
    )


@pytest.mark.parametrize("line", [b"a ::group::One", b"::group:One", b"::endgroup::", b"[group]"])
def test_other_lines_begin_no_group(tmp_path: Path, line: bytes) -> None:
    assert group(tmp_path / "a.log", line + b"\n")[0] is None
