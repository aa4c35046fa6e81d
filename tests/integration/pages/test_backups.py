"""What Settings tells administrators of backups that are made by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.backups import BackupPlan, BackupState, Made
from app.domain.principals import Role
from app.domain.schedule import Schedule
from app.store import backups, claims
from app.web.app import create_app
from tests.support.client import Client
from tests.support.seed import PASSWORD, World, world
from tests.support.visiting import OURS, read

PLAN = BackupPlan("/srv/backups", Schedule.parse("0 3 * * *"), keep=14)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


def card(made: World, plan: BackupPlan | None, role: Role = Role.ADMIN) -> str:
    """The words of the part of the page that is about backups."""
    client = Client(
        create_app(replace(made.context, backups=plan), nullcontext), follow_redirects=False, headers=OURS
    )
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    page = read(client, "/settings")
    return page.partition('id="backups"')[2].partition("</section>")[0]


def test_where_none_is_made_the_setting_is_named(made: World) -> None:
    assert "None is made by itself: that needs <code>JOBYARD_BACKUP_TO</code>." in card(made, None)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_are_told(made: World, role: Role) -> None:
    assert card(made, PLAN, role) == ""


def test_the_last_and_the_next_are_told(made: World) -> None:
    assert "none yet" in card(made, PLAN)
    now = made.context.clock.now()
    with made.context.db.write() as tx:
        backups.begin(tx, now)
        state = backups.read(tx)
        assert state is not None
        claims.register_server(tx, "one", "here", 1, now)
        claimed = backups.claim(tx, state, "one", now)
    assert claimed is not None
    assert "Being made" in card(made, PLAN)
    with made.context.db.write() as tx:
        backups.succeed(tx, claimed, Made("x", "/srv/backups/x", 3 * 2**20), now - timedelta(hours=2))
    told = card(made, PLAN)
    assert all(part in told for part in ("/srv/backups", "Whole", "3.0 MiB", "Next"))
    with made.context.db.write() as tx:
        whole = backups.read(tx)
        assert isinstance(whole, BackupState)
        claimed = backups.claim(tx, whole, "one", now)
        assert claimed is not None
        backups.fail(tx, claimed, "The disk <is> full.", now)
    told = card(made, PLAN)
    assert all(
        part in told for part in ("Failed", "The last try failed, ", "The disk &lt;is&gt; full.", "3.0 MiB")
    )
