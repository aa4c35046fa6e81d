"""What is stored of builds and deployments is read as it was written, also by an earlier version."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from app.domain.build_parts import (
    BuildStep,
    BuildTrigger,
    BuildTriggerType,
    step_from_json,
    step_to_json,
    trigger_from_json,
    trigger_to_json,
)
from app.domain.deployments import images_from_json, images_to_json
from app.domain.job.records import Deployed


@pytest.mark.parametrize(
    ("stored", "trigger"),
    [
        (
            '{"type": "push", "delivery": "first", "by": ""}',
            BuildTrigger(BuildTriggerType.PUSH, "", "first"),
        ),
        ('{"type": "push"}', BuildTrigger(BuildTriggerType.PUSH)),
        ('{"type": "manual", "by": "ada"}', BuildTrigger(BuildTriggerType.MANUAL, "ada")),
        (
            '{"type": "rebuild", "of": 3, "by": "run x"}',
            BuildTrigger(BuildTriggerType.REBUILD, "run x", of=3),
        ),
    ],
)
def test_a_trigger_is_stored_to_the_letter(stored: str, trigger: BuildTrigger) -> None:
    assert trigger_from_json(json.loads(stored)) == trigger
    assert json.dumps(trigger_to_json(trigger)) == stored


def test_a_step_is_stored_to_the_letter() -> None:
    stored = (
        '{"index": 1, "total": null, "name": "FROM busybox", "started": 0.0, "duration": 0.5, '
        '"cached": true, "failed": false}'
    )
    step = step_from_json(json.loads(stored))
    assert step == BuildStep(1, None, "FROM busybox", 0.0, 0.5, cached=True)
    assert json.dumps(step_to_json(step)) == stored


def test_images_of_before_there_were_places_and_references_are_read() -> None:
    stored = {
        "7": {
            "image": "sha256:a",
            "digest": "sha256:b",
            "build_id": 1,
            "sha": None,
            "cause": "CD is on.",
            "at": "2026-01-31T12:00:00+00:00",
        }
    }
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    images = images_from_json(stored)
    assert images == {7: Deployed("sha256:a", "sha256:b", 1, None, "CD is on.", at)}
    assert images_from_json(images_to_json(images)) == images
