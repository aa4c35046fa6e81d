"""Mails that wait to be sent, and users by what an identity provider calls them, on either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import Conflict
from app.domain.principals import Role
from app.domain.sealing import of_mailed_link
from app.store import mails, projects, users
from app.store.database import Database
from tests.support.sealed import box_of, rotate
from tests.support.waiting import together

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LATER, TOMORROW = NOW + timedelta(minutes=2), NOW + timedelta(days=1)
ISSUER = "https://id.example.com"


def user(db: Database, name: str = "ada") -> int:
    with db.write() as tx:
        return users.add(tx, name, "hash", Role.ADMIN, NOW).id


def test_one_server_takes_a_mail_and_another_when_that_has_died(db: Database) -> None:
    ada = user(db)
    with db.write() as tx:
        mails.add(tx, NOW, user_id=ada, link="sealed")

    def claim(_number: int) -> mails.Mail | None:
        with db.write() as tx:
            return mails.claim(tx, NOW, LATER)

    (taken,) = [each for each in together(4, claim) if each is not None]
    assert (taken.user_id, taken.link, taken.due_at, taken.tries) == (ada, "sealed", LATER, 1)
    with db.write() as tx:
        again = mails.claim(tx, LATER, TOMORROW)
        assert again is not None
        assert again.tries == 2
        mails.conclude(tx, taken, "by the one that had died", due_at=None)  # too late
        assert mails.of_user(tx, ada) == again
        mails.conclude(tx, again, "Mailed to ada@example.com.", due_at=None, sent_at=LATER)
    with db.read() as tx:
        done = mails.of_user(tx, ada)
        assert done is not None
        assert (done.said, done.sent_at, done.link) == ("Mailed to ada@example.com.", LATER, None)
        assert mails.due_at(tx) is None


def test_a_newer_mail_takes_the_place_of_the_older_and_goes_with_its_user(db: Database) -> None:
    ada, eve = user(db), user(db, "eve")
    with db.write() as tx:
        mails.add(tx, NOW, user_id=ada, link="first")
        older = mails.claim(tx, NOW, LATER)
        assert older is not None
        mails.add(tx, NOW, user_id=ada, link="second")
        mails.conclude(tx, older, "sent", due_at=None, sent_at=NOW)  # of the first alone
        found = mails.of_user(tx, ada)
        assert found is not None
        assert (found.link, found.due_at) == ("second", NOW)
        mails.add(tx, LATER, user_id=eve)
        mails.add(tx, LATER, account="nobody")
        users.remove(tx, ada)
        assert mails.due_at(tx) == LATER


def test_the_link_of_a_mail_that_waits_outlives_any_number_of_rotations(db: Database) -> None:
    """Also when a try of it begins before a rotation and ends after it."""
    keys = [b"the first key, random enough", b"the second key, random enough", b"the third, random enough"]
    ada = user(db)
    sealed = box_of(db, keys[0]).seal("/login/once/x", of_mailed_link(ada))
    with db.write() as tx:
        mails.add(tx, NOW, user_id=ada, link=sealed)
        mails.add(tx, LATER, account="nobody")
    with db.write() as tx:
        taken = mails.claim(tx, NOW, LATER)
        assert taken is not None
    done = rotate(db, keys[0], keys[1])
    assert (dict(done.rows), done.unopened) == ({"mail": 1}, [])
    with db.write() as tx:
        mails.conclude(tx, taken, "The mail server did not answer in 10 s.", due_at=TOMORROW)
    for number in (1, 2):
        with db.read() as tx:
            waiting = mails.of_user(tx, ada)
        assert waiting is not None
        assert (waiting.said, waiting.due_at) == ("The mail server did not answer in 10 s.", TOMORROW)
        box = box_of(db, keys[number])
        assert box.is_current(waiting.link or "")
        assert box.open(waiting.link or "", of_mailed_link(ada)) == "/login/once/x"
        if number == 1:
            rotate(db, keys[1], keys[2])


def test_a_subject_is_one_user_and_that_of_another_issuer_another(db: Database) -> None:
    ada, eve = user(db), user(db, "eve")
    with db.write() as tx:
        users.set_identity(tx, ada, ISSUER, "1")
        users.set_identity(tx, ada, ISSUER, "1")
        users.set_identity(tx, eve, "https://another.example", "1")
        assert [each and each.name for each in (users.of_identity(tx, ISSUER, "1"),)] == ["ada"]
        assert users.of_identity(tx, ISSUER, "2") is None
    with db.write() as tx, pytest.raises(Conflict, match="The identity provider's 1 is the user ada already"):
        users.set_identity(tx, eve, ISSUER, "1")


def test_roles_are_replaced_also_those_of_the_last_administrator(db: Database) -> None:
    ada = user(db)
    with db.write() as tx:
        acme, beside = (projects.create(tx, name, None, NOW).id for name in ("acme", "beside"))
        users.replace_grants(tx, ada, {acme: Role.VIEWER, beside: Role.ADMIN})
        users.replace_grants(tx, ada, {acme: Role.OPERATOR})
        found = users.with_id(tx, ada).grants
        assert [(each.role, each.project) for each in found] == [(Role.OPERATOR, "acme")]
        users.replace_grants(tx, ada, {})
        assert users.with_id(tx, ada).grants == ()
        assert not users.has_admin(tx)
