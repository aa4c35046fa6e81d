"""What the settings page says a restart would interrupt."""

from __future__ import annotations

from app.domain.principals import Role
from tests.support.demo_world import Demo
from tests.support.seed import World
from tests.support.visiting import read, visitor

NOTHING = "No run or build is at work: a restart interrupts nothing."


def test_the_settings_say_what_a_restart_would_interrupt(made: World) -> None:
    assert NOTHING in read(visitor(made, Role.VIEWER), "/settings")


def test_what_is_at_work_is_counted_for_those_who_see_all_projects(made: World, demo: Demo) -> None:
    page = read(visitor(made), "/settings")
    assert NOTHING not in page
    assert "at work goes on, and is followed again after a restart" in page
