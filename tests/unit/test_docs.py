"""Documentation can't drift: what exists is in the README."""

from __future__ import annotations

from pathlib import Path

from app.cli.main import command_names, setting_names

README = Path(__file__).parents[2] / "README.md"


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in command_names() if f"jobyard {name}" not in text] == []


def test_every_setting_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in setting_names() if name not in text] == []
