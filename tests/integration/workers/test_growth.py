"""Day after day of work leaves no more than the limits say: `scripts/soak --only year` in small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.checkout import upkeep
from app.domain.retention import Limits
from tests.support.year import Growth, Year, unbounded

DAYS, SETTLED = 10, 6


@pytest.fixture
def growths(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Year]:
    monkeypatch.setattr(upkeep, "MOST_PACKS", 4)
    year = Year(tmp_path / "year", Limits(3, 8), pushes=12, runs=20, worked_pushes=1, worked_runs=5)
    year.cleans_up = request.param
    yield year
    year.close()


def seen(year: Year) -> tuple[Growth, Growth]:
    found = {day: year.growth(day) for day in year.days(DAYS) if day in (SETTLED, DAYS)}
    return found[SETTLED], found[DAYS]


@pytest.mark.parametrize("growths", [True], indirect=True)
def test_as_much_goes_as_comes(growths: Year) -> None:
    earlier, later = seen(growths)
    assert unbounded(earlier, later, 1.1, least=20) == []
    rows = later.rows
    assert rows["run"] <= 5 * 8 + 2 * 5
    assert rows["attempt"] == rows["container"] == rows["run"]
    assert rows["delivery"] <= 12 * 4
    assert later.packs <= 5
    assert later.images <= 11 + 2
    assert later.log_files <= 3 * (rows["run"] + rows["build"])


@pytest.mark.parametrize("growths", [False], indirect=True)
def test_without_clean_up_everything_grows(growths: Year) -> None:
    """Which shows that the test above would see it."""
    earlier, later = seen(growths)
    told = "\n".join(unbounded(earlier, later, 1.1, least=20))
    for name in ("run", "build", "decision", "delivery", "movement", "log_files"):
        assert f"{name}: " in told
