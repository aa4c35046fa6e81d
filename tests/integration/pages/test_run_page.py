"""The page of a run: its containers, and who is offered a shell in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.runs import Outcome, Reason
from app.store import run_attempts, runs
from tests.support.client import Client
from tests.support.seed import SUCCEEDED, World, world
from tests.support.visiting import read, visitor

DASH = "\u2013"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


def cells(page: str) -> list[list[str]]:
    """What the table of containers says, row by row."""
    rows = re.findall(r"<tr data-instance=.*?</tr>", page, re.DOTALL)
    return [
        [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def end_container(made: World, run_id: int, instance: int, outcome: Outcome, at: datetime) -> None:
    with made.db.write() as tx:
        run = runs.with_id(tx, run_id)
        attempt = run_attempts.attempts_of(tx, run_id)[-1]
        container = run_attempts.containers_of(tx, attempt.id)[instance]
        assert run_attempts.container_ended(tx, run, container, outcome, at)


class TestContainers:
    def test_each_says_how_it_is_or_was_counted_as_the_container_is_told(self, made: World) -> None:
        run_id = made.run(made.job("many", instances=3), NOW)
        failure = Outcome(Reason.EXIT_NONZERO, 3, "Exited with code 3.", NOW)
        end_container(made, run_id, 1, failure, NOW + timedelta(seconds=20))
        end_container(made, run_id, 2, replace(SUCCEEDED, ended_at=NOW), NOW + timedelta(seconds=5))
        first, second, third = cells(read(visitor(made), f"/runs/{run_id}"))
        assert first[:3] == ["0", "Running", DASH]
        assert second[:4] == ["1", "Failed", "3", "20 s"]
        assert third[:4] == ["2", "Succeeded", "0", "5.0 s"]
        assert second[4] == "Log of instance 1"

    def test_one_of_an_attempt_that_is_over_has_its_end(self, made: World) -> None:
        run_id = made.run(made.job("once"), NOW, seconds=30, outcome=SUCCEEDED)
        ((instance, state, code, took, opens),) = cells(read(visitor(made), f"/runs/{run_id}"))
        assert (instance, state, took, opens) == ("0", "Succeeded", "30 s", "")
        assert code == DASH


class TestShell:
    def test_it_is_offered_where_something_runs(self, made: World) -> None:
        job = made.job("many", instances=2)
        page = read(visitor(made), f"/runs/{made.run(job, NOW)}")
        assert re.findall(r'data-shell-open="(\d)"', page) == ["0", "1"]
        assert 'data-address="/api/v1/runs/1/attempts/1/shell"' in page
        page = read(visitor(made), f"/runs/{made.run(made.job('over'), NOW, outcome=SUCCEEDED)}")
        assert "data-shell-open" not in page

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_it_is_not_offered_to_who_may_not(self, made: World, role: str) -> None:
        run_id = made.run(made.job("many"), NOW)
        assert "data-shell" not in read(visitor(made, role), f"/runs/{run_id}")

    def test_it_is_not_offered_where_shells_are_switched_off(self, made: World) -> None:
        run_id = made.run(made.job("many"), NOW)
        made.installation.web.shells.most = 0
        client: Client = visitor(made)
        assert "data-shell" not in read(client, f"/runs/{run_id}")
