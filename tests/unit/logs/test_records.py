"""Records beside a log: appended, thinned, and read while they are written."""

from __future__ import annotations

from pathlib import Path

from app.logs.records import Records, read_records


def newest_two(records: object) -> list[list[int]]:
    assert isinstance(records, list)
    return records[-2:]


def test_nothing_was_written_yet(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none") == []


def test_appends_and_goes_on_after_another_writer(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records"
    Records(path, 10, newest_two).append([1, "ä\n"])
    later = Records(path, 10, newest_two)
    later.append([2])
    assert read_records(path) == [[1, "ä\n"], [2]]
    assert later.all == ([1, "ä\n"], [2])


def test_thins_beyond_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "records"
    records = Records(path, 3, newest_two)
    lengths = []
    for number in range(8):
        records.append([number])
        lengths.append(len(read_records(path)))
    assert lengths == [1, 2, 3, 2, 3, 2, 3, 2]
    assert read_records(path) == [[6], [7]]


def test_a_torn_line_is_neither_read_nor_written_on(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_text("[1]\n[2")
    assert read_records(path) == [[1]]
    Records(path, 10, newest_two).append([3])
    assert read_records(path) == [[1], [3]]
