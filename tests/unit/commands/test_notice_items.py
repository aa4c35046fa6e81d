"""What is told of each kind of thing, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.commands import notice_items as items
from app.domain.notifications import Rule, State
from app.domain.runs import RunStatus
from app.store.notice_subjects import Alarm, SubjectDecision, SubjectDeployment, SubjectRun

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def run(trigger: str, seconds: float = 5, by: str | None = None) -> SubjectRun:
    began = NOW - timedelta(seconds=seconds)
    return SubjectRun(
        7, "report-x", 3, "report", RunStatus.FAILED, "Exited with code 1.", trigger, by, 1, NOW, began, None
    )


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("manual", "started by hand"),
        ("api", "started by the API"),
        ("schedule", "started by its schedule"),
        ("image_change", "started by its new image"),
        ("promotion", "started by a promotion"),
        ("deploy", "started by a deploy"),
        ("flow", "started by a release flow"),
        ("pre_deploy", "started by a deployment"),
    ],
)
def test_what_started_a_run_is_told(trigger: str, words: str) -> None:
    item = items.of_ended_run(run(trigger), None, Rule.FAILURE)
    assert item.details == f"Run report-x, {words}, took 5 s."


def test_how_long_it_took_is_told() -> None:
    took = [
        items.of_ended_run(run("api", seconds), None, Rule.END).details for seconds in (0.4, 59, 61, 7260)
    ]
    assert [each.rpartition("took ")[2] for each in took] == ["0 s.", "59 s.", "1 min 1 s.", "2 h 1 min."]
    assert items.of_ended_run(run("api", by="ci"), None, Rule.END).details.startswith(
        "Run report-x, started by the API (ci)"
    )


@pytest.mark.parametrize(
    ("status", "headline"),
    [
        ("succeeded", "App shop was deployed"),
        ("failed", "App shop could not be deployed"),
        ("cancelled", "App shop was not deployed: it was cancelled"),
    ],
)
def test_what_became_of_a_deployment_is_told(status: str, headline: str) -> None:
    made = SubjectDeployment(4, status, "shop", "a1b2c3 pushed", "", "ada", NOW, [1])
    item = items.of_deployment(made)
    assert item is not None
    assert (item.headline, item.details) == (headline, "Deployment 4 by ada.")


def test_one_that_another_took_the_place_of_is_not_told() -> None:
    assert items.of_deployment(SubjectDeployment(4, "superseded", "shop", "", "", "", NOW, [])) is None


def test_decisions_are_told() -> None:
    promoted = SubjectDecision(1, 3, "report", "promotion", "It was promoted.", NOW, None)
    assert items.of_moved_image(promoted, "shop").headline == "report got an image by promotion"
    missed = SubjectDecision(1, 3, "report", "schedule", "Nobody could act.", NOW, None)
    item = items.of_missed(missed, "shop")
    assert (item.headline, item.path) == (
        "report missed its schedule",
        "/projects/shop/jobs/report/decisions",
    )


def test_an_end_of_an_alarm_says_how_long_it_was() -> None:
    over = items.of_alarm_over(Alarm(1, "disk", "The disk is full", "…", NOW, NOW + timedelta(minutes=3)))
    assert (over.state, over.sentence) == (State.OVER, "It lasted 3 min 0 s.")
