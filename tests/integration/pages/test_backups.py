"""What Settings tells administrators of backups that are made by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.commands.backup_list import BackupList
from app.domain.backups import BackupPlan, BackupState, Made, StoredBackup, due_at, name_of
from app.domain.errors import UserError
from app.domain.principals import Role
from app.domain.room import Room
from app.domain.schedule import Schedule
from app.store import backups, claims
from app.web.app import create_app
from app.web.pages.prune import disks_of
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


def visitor_of(made: World, plan: BackupPlan | None, role: Role = Role.ADMIN) -> Client:
    client = Client(
        create_app(replace(made.context, backups=plan), nullcontext), follow_redirects=False, headers=OURS
    )
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def test_one_is_asked_for_on_the_page_and_due_at_once(made: World) -> None:
    client = visitor_of(made, PLAN)
    assert "Make one now" in read(client, "/backups")
    assert client.post("/backups").headers["location"] == "/backups?asked=1"
    with made.db.read() as tx:
        state = backups.read(tx)
    assert state is not None
    assert due_at(state, PLAN.schedule) <= made.clock.now()
    assert "It is begun within seconds" in read(client, "/backups?asked=1")


def test_none_is_asked_for_where_none_is_made_or_while_one_is(made: World) -> None:
    refused = visitor_of(made, None).post("/backups")
    assert refused.status_code == 409
    assert (
        "No backup is made by itself, so none can be asked for: that needs JOBYARD_BACKUP_TO." in refused.text
    )
    with made.db.write() as tx:
        claims.register_server(tx, "one", "here", 1, made.clock.now())
        backups.begin(tx, made.clock.now())
        state = backups.read(tx)
        assert state is not None
        assert backups.claim(tx, state, "one", made.clock.now()) is not None
    client = visitor_of(made, PLAN)
    assert "Make one now" not in read(client, "/backups")
    going = client.post("/backups")
    assert (going.status_code, "A backup is being made already." in going.text) == (409, True)


def test_the_page_tells_the_last_one_and_the_way_back(made: World) -> None:
    with made.db.write() as tx:
        backups.begin(tx, made.clock.now())
        state = backups.read(tx)
        assert state is not None
        claimed = backups.claim(tx, state, "one", made.clock.now())
        assert claimed is not None
        backups.succeed(tx, claimed, Made("a.tar", "/srv/backups/a.tar", 4096), made.clock.now())
    page = read(visitor_of(made, PLAN), "/backups")
    assert "found whole" in page
    assert "jobyard restore /srv/backups/a.tar" in page
    assert visitor_of(made, PLAN, Role.OPERATOR).get("/backups").status_code == 403


def stored(*days: int) -> list[StoredBackup]:
    names = [name_of(datetime(2026, 1, day, 3, tzinfo=UTC), "0123456789ab", "") for day in days]
    return [StoredBackup(name, f"/srv/backups/{name}", 3 * 2**20) for name in names]


def listed(made: World, look: BackupList) -> str:
    context = replace(made.context, backups=PLAN, backup_list=look)
    client = Client(create_app(context, nullcontext), follow_redirects=False, headers=OURS)
    assert client.post("/login", data={"name": "admin-user", "password": PASSWORD}).status_code == 303
    return read(client, "/backups").partition('id="stored"')[2].partition("</section>")[0]


class TestTheListOfThoseThatAreThere:
    def test_it_has_time_size_and_whether_each_was_found_whole(self, made: World) -> None:
        newer, older = stored(31, 30)
        now = made.context.clock.now()
        with made.db.write() as tx:
            backups.begin(tx, now)
            state = backups.read(tx)
            assert state is not None
            claimed = backups.claim(tx, state, "one", now)
            assert claimed is not None
            backups.succeed(tx, claimed, Made(newer.name, newer.where, newer.bytes), now)
        page = listed(made, BackupList(lambda: [newer, older], "/srv/backups"))
        assert "2 backups" in page
        first, second = page.split("<li ")[1:]
        assert all(part in first for part in ("2026-01-31 03:00:00 UTC", "3.0 MiB", newer.where, ">Whole<"))
        assert all(part in second for part in ("2026-01-30 03:00:00 UTC", older.where, ">Not verified<"))

    def test_where_there_is_none_it_says_so(self, made: World) -> None:
        assert "There is none of this installation in" in listed(made, BackupList(list, "/srv/backups"))

    def test_a_place_that_can_not_be_read_says_why(self, made: World) -> None:
        def fail() -> list[StoredBackup]:
            raise UserError("/srv/backups can't be read: Permission denied.")

        assert "Permission denied." in listed(made, BackupList(fail, "/srv/backups"))

    def test_a_place_that_hangs_is_not_waited_for_and_not_asked_again_and_again(self, made: World) -> None:
        is_over = threading.Event()

        def hang() -> list[StoredBackup]:
            is_over.wait()
            return []

        look = BackupList(hang, "s3://backups/a", seconds=0.01)
        said = [listed(made, look) for _ in range(3)]
        is_over.set()
        late = "s3://backups/a did not say within 0.01 s which backups it has."
        assert [late in each for each in said] == [True, True, False]
        assert "s3://backups/a is being asked for its backups already: reload the page." in said[2]


def test_the_disk_is_told_with_its_three_marks() -> None:
    [shown] = disks_of({Path("/srv"): Room(3 * 2**30, None, 100 * 2**30)})
    assert (shown.free, shown.state, shown.is_little) == (
        "3.0 GiB of 100.0 GiB free",
        "clean-up hurries",
        True,
    )
    assert [what for _, what in shown.marks] == ["clean-up hurries", "builds wait", "nothing new is accepted"]
    [enough] = disks_of({Path("/srv"): Room(50 * 2**30, None, 100 * 2**30)})
    assert (enough.state, enough.is_little) == ("there is enough", False)
