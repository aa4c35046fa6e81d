"""Documentation can't drift: what exists is in the README."""

from __future__ import annotations

from app.cli.main import command_names, setting_names
from tests.support.project import ROOT

README = ROOT / "README.md"


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in command_names() if f"jobyard {name}" not in text] == []


def test_every_setting_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in setting_names() if name not in text] == []
