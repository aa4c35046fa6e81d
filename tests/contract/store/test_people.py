"""Users, their grants, sessions and links, on either database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.domain.errors import Conflict, NotFound
from app.domain.principals import Right, Role
from app.store import projects, sessions, users
from app.store.database import Database
from app.store.facts import write
from app.store.migrate import SCRIPTS
from app.store.sessions import SessionLimits
from app.store.users import TURN, User

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LIMITS = SessionLimits()
LAST = "is the last administrator who can log in: make another one first."


def add(db: Database, name: str, role: Role | None, **more: object) -> User:
    with db.write() as tx:
        return users.add(tx, name, "hash", role, NOW, **more)  # type: ignore[arg-type]


def test_a_user_has_a_role_for_each_project_and_one_for_all(db: Database) -> None:
    ada = add(db, "ada", Role.VIEWER, email="ada@example.com")
    with db.write() as tx:
        acme = projects.create(tx, "acme", None, NOW)
        users.set_grant(tx, ada.id, Role.OPERATOR, acme.id)
        users.set_grant(tx, ada.id, Role.ADMIN, acme.id)
    with db.read() as tx:
        found = users.named(tx, "ADA@example.com")
        assert found == users.with_id(tx, ada.id)
    assert found is not None
    assert [(each.role, each.project) for each in found.grants] == [("viewer", None), ("admin", "acme")]
    with db.write() as tx:
        users.revoke_grant(tx, ada.id, acme.id)
        with pytest.raises(NotFound, match="ada has no role in this project"):
            users.revoke_grant(tx, ada.id, acme.id)
        users.revoke_grant(tx, ada.id, None)
        with pytest.raises(NotFound, match="ada has no role in all projects"):
            users.revoke_grant(tx, ada.id, None)
        with pytest.raises(Conflict, match=r"There is a user with the address ada@example\.com already"):
            users.add(tx, "eve", "", None, NOW, email="ada@example.com")
    with db.write() as tx, pytest.raises(NotFound, match="There is no user 77"):
        users.with_id(tx, 77)


def test_a_grant_goes_with_its_project_and_all_with_their_user(db: Database) -> None:
    ada = add(db, "ada", None)
    with db.write() as tx:
        acme = projects.create(tx, "acme", None, NOW)
        users.set_grant(tx, ada.id, Role.OPERATOR, acme.id)
        sessions.add(tx, "s", NOW, LIMITS, user_id=ada.id)
        sessions.add_link(tx, "l", "reset", NOW, timedelta(hours=1), ada.id)
        projects.delete(tx, acme.id)
    with db.write() as tx:
        assert users.with_id(tx, ada.id).grants == ()
        users.remove(tx, ada.id)
    with db.read() as tx:
        assert users.named(tx, "ada") is None
        assert sessions.find(tx, "s", NOW, LIMITS) is None
        assert sessions.link(tx, "l", NOW) is None


CHANGES: dict[str, Callable[[object, int], None]] = {
    "disabled": lambda tx, id_: users.set_disabled(tx, id_, NOW),  # type: ignore[arg-type]
    "removed": lambda tx, id_: users.remove(tx, id_),  # type: ignore[arg-type]
    "demoted": lambda tx, id_: users.set_grant(tx, id_, Role.OPERATOR, None),  # type: ignore[arg-type]
    "revoked": lambda tx, id_: users.revoke_grant(tx, id_, None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_last_administrator_who_can_log_in_stays(db: Database, change: str) -> None:
    ada = add(db, "ada", Role.ADMIN)
    with db.write() as tx:
        write(tx, TURN, "0123456789ab")
        users.add(tx, "invited", "", Role.ADMIN, NOW)
        disabled = users.add(tx, "disabled", "hash", Role.ADMIN, NOW)
        users.set_disabled(tx, disabled.id, NOW)
        acme = projects.create(tx, "acme", None, NOW)
        users.add(tx, "of acme", "hash", Role.ADMIN, NOW, project_id=acme.id)
    with pytest.raises(Conflict) as said, db.write() as tx:
        CHANGES[change](tx, ada.id)
    assert str(said.value) == f"ada {LAST}"
    eve = add(db, "eve", Role.ADMIN)
    with db.write() as tx:
        CHANGES[change](tx, ada.id)
    with pytest.raises(Conflict), db.write() as tx:
        CHANGES[change](tx, eve.id)


def test_others_come_and_go_where_there_is_no_administrator(db: Database) -> None:
    ada = add(db, "ada", Role.VIEWER)
    with db.write() as tx:
        users.set_disabled(tx, ada.id, NOW)
        users.remove(tx, ada.id)


def test_two_administrators_don_t_disable_each_other_at_once(db: Database) -> None:
    with db.write() as tx:
        write(tx, TURN, "0123456789ab")
    both = [add(db, name, Role.ADMIN) for name in ("ada", "eve")]
    ready, refused = Barrier(2), []

    def disable(user: User) -> None:
        ready.wait(30)
        try:
            with db.write() as tx:
                users.set_disabled(tx, user.id, NOW)
        except Conflict as error:
            refused.append(str(error))

    threads = [Thread(target=disable, args=(each,)) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 1
    with db.read() as tx:
        assert users.has_admin(tx)


def test_a_session_ends_when_idle_and_at_last(db: Database) -> None:
    ada = add(db, "ada", Role.OPERATOR)
    with db.write() as tx:
        sessions.add(tx, "s", NOW, LIMITS, user_id=ada.id, address="192.0.2.1", browser="Firefox")
    with db.write() as tx:
        at = NOW + LIMITS.idle - timedelta(seconds=1)
        found = sessions.find(tx, "s", at, LIMITS)
        assert found is not None
        assert (found.name, found.user_id) == ("ada", ada.id)
        assert [Right.RUN in grant.rights for grant in found.grants] == [True]
        assert sessions.find(tx, "s", NOW + LIMITS.idle, LIMITS) is None
        sessions.mark_seen(tx, "s", at)
        assert sessions.find(tx, "s", NOW + LIMITS.idle, LIMITS) is not None
        sessions.mark_seen(tx, "s", NOW + LIMITS.absolute - timedelta(seconds=1))
        assert sessions.find(tx, "s", NOW + LIMITS.absolute, LIMITS) is None
        assert sessions.of_user(tx, ada.id, NOW + LIMITS.absolute, LIMITS) == []


def test_the_sessions_of_a_user_are_listed_and_ended(db: Database) -> None:
    ada, eve = add(db, "ada", Role.VIEWER), add(db, "eve", Role.VIEWER)
    with db.write() as tx:
        for number, user in enumerate((ada, ada, ada, eve)):
            at = NOW + timedelta(minutes=number)
            sessions.add(tx, f"{number}" * 64, at, LIMITS, user_id=user.id, address="192.0.2.1")
    with db.write() as tx:
        assert [each.id[0] for each in sessions.of_user(tx, ada.id, NOW, LIMITS)] == ["2", "1", "0"]
        sessions.end_one(tx, ada.id, "1" * 16)
        for wrong in ("1" * 16, "3" * 16, "2", "%" * 16):
            with pytest.raises(NotFound, match="There is no such session, or it is over"):
                sessions.end_one(tx, ada.id, wrong)
        assert sessions.end_of_user(tx, ada.id, but="2" * 64) == 1
        assert [each.id[0] for each in sessions.of_user(tx, ada.id, NOW, LIMITS)] == ["2"]
        users.set_disabled(tx, ada.id, NOW)
        assert sessions.find(tx, "2" * 64, NOW, LIMITS) is None
        assert len(sessions.of_user(tx, eve.id, NOW, LIMITS)) == 1


def test_the_latest_browsers_of_a_user_are_known(db: Database) -> None:
    ada, eve = add(db, "ada", Role.VIEWER), add(db, "eve", Role.VIEWER)
    with db.write() as tx:
        for number in range(sessions.DEVICES_KEPT + 1):
            at = NOW + timedelta(minutes=number)
            sessions.remember_device(tx, f"device-{number}", ada.id, f"net-{number}", at)
        assert sessions.is_known(tx, ada.id, device="device-0", network="net-0") == (False, False)
        assert sessions.is_known(tx, ada.id, device="device-1", network="net-2") == (True, True)
        assert sessions.is_known(tx, eve.id, device="device-1", network="net-2") == (False, False)
        sessions.forget_devices(tx, ada.id)
        assert sessions.is_known(tx, ada.id, device="device-1", network="net-2") == (False, False)


def test_accounts_of_today_become_users_with_their_role_for_all(make: Callable[..., str]) -> None:
    db = Database(make(empty=True))
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with db._engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.upgrade(config, "0013")
            at = {"at": "2026-01-31 12:00:00+00:00", "later": "2026-02-14 12:00:00+00:00"}
            if connection.dialect.name == "sqlite":
                at = {name: value[:19] + ".000000" for name, value in at.items()}
            connection.execute(
                sa.text(
                    "INSERT INTO user_account (name, password_hash, role, created_at)"
                    " VALUES ('ada', 'hash', 'admin', :at)"
                ),
                at,
            )
            for hash_, user, once, opened_with in (
                ("of-ada", "1", "false", "NULL"),
                ("by-link", "NULL", "false", "NULL"),
                ("by-token", "NULL", "false", "'t'"),
                ("link", "NULL", "true", "NULL"),
            ):
                connection.execute(
                    sa.text(
                        "INSERT INTO login (hash, user_id, once, opened_with, created_at, expires_at)"
                        f" VALUES ('{hash_}', {user}, {once}, {opened_with}, :at, :later)"
                    ),
                    at,
                )
    db.migrate()
    with db.read() as tx:
        ada = users.named(tx, "ada")
        assert ada is not None
        assert [(each.role, each.project_id) for each in ada.grants] == [(Role.ADMIN, None)]
        assert (ada.status, ada.email, users.has_admin(tx)) == ("active", None, True)
        of_ada = sessions.find(tx, "of-ada", NOW, LIMITS)
        assert of_ada is not None
        assert of_ada.name == "ada"
        by_token = sessions.find(tx, "by-token", NOW, LIMITS)
        assert by_token is not None
        assert by_token.opened_with == "t"
        assert sessions.find(tx, "by-link", NOW, LIMITS) is None
        assert sessions.find(tx, "link", NOW, LIMITS) is None
    db.close()
