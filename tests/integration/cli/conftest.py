"""The command as somebody types it who is an administrator of a server that is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving


@pytest.fixture
def cli(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Cli]:
    monkeypatch.chdir(tmp_path)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        yield Cli(capsys)
