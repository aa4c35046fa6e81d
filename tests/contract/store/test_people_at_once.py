"""The same person, or the same name, from several browsers at once, on either database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.commands.provider_sign_in import NotAdmitted, sign_in_by_provider
from app.commands.sessions import Client
from app.commands.sign_in import Desk, SignedIn
from app.commands.tokens import digest
from app.domain.errors import Conflict
from app.domain.identities import ClaimedRole, Identity
from app.domain.principals import Role
from app.store import facts, projects, sessions, users
from app.store.database import Database
from app.store.users import TURN
from tests.support.waiting import together

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DESK = Desk()
BROWSERS, ROUNDS = 4, 5


@pytest.fixture(autouse=True)
def installed(db: Database) -> None:
    with db.write() as tx:
        facts.write(tx, TURN, "0123456789ab")


def identity(name: str, subject: str, role: Role = Role.OPERATOR, project: str | None = None) -> Identity:
    claimed = (ClaimedRole(role, project),)
    return Identity("https://id.example.com", subject, name, None, "roles", claimed)


def come(db: Database, who: Identity, device: str | None = None) -> SignedIn | str:
    """The session, or the sentence of who is not let in."""
    try:
        return sign_in_by_provider(db, DESK, who, Client("192.0.2.1", device=device), NOW)
    except NotAdmitted as error:
        return str(error)


def test_whoever_signs_in_first_from_two_browsers_at_once_is_one_user_in_both(db: Database) -> None:
    for number in range(ROUNDS):
        grace = identity(f"grace-{number}", str(number))
        came = together(BROWSERS, lambda _, grace=grace: come(db, grace))
        with db.read() as tx:
            user = users.named(tx, grace.name)
            assert user is not None
            assert [(each.role, each.project_id) for each in user.grants] == [(Role.OPERATOR, None)]
            assert len(sessions.of_user(tx, user.id, NOW, DESK.limits)) == BROWSERS
            for each in came:
                assert isinstance(each, SignedIn)
                session = sessions.find(tx, digest(each.session), NOW, DESK.limits)
                assert session is not None
                assert session.user_id == user.id
    with db.read() as tx:
        assert len(users.page(tx, 100)) == ROUNDS


def test_of_two_people_with_one_name_who_come_first_at_once_one_is_turned_away(db: Database) -> None:
    for number in range(ROUNDS):
        name = f"grace-{number}"
        came = together(2, lambda who, name=name: come(db, identity(name, f"{name} {who}")))
        (said,) = [each for each in came if isinstance(each, str)]
        assert said.startswith(f"There is a user named {name} already. To let you in as that user,")


def test_of_two_who_are_invited_by_one_name_at_once_one_is_refused(db: Database) -> None:
    def invite(number: int) -> str:
        try:
            with db.write() as tx:
                return users.add(tx, f"grace-{number}", "", Role.VIEWER, NOW).name
        except Conflict as error:
            return str(error)

    for number in range(ROUNDS):
        said = together(2, lambda _, number=number: invite(number))
        assert sorted(said) == [f"There is a user named grace-{number} already.", f"grace-{number}"]


def test_an_identity_that_two_users_get_at_once_is_one_s(db: Database) -> None:
    def link(name: str, subject: str) -> str:
        try:
            with db.write() as tx:
                user = users.named(tx, name)
                assert user is not None
                users.set_identity(tx, user.id, "https://id.example.com", subject)
                return ""
        except Conflict as error:
            return str(error)

    names = ("ada", "eve")
    with db.write() as tx:
        for name in names:
            users.add(tx, name, "hash", Role.VIEWER, NOW)
    for number in range(ROUNDS):
        subject = str(number)
        said = together(2, lambda who, subject=subject: link(names[who], subject))
        (refused,) = filter(None, said)
        assert refused.startswith(f"The identity provider's {subject} is the user ")


def test_roles_that_are_new_at_two_sign_ins_at_once_are_given_once(db: Database) -> None:
    come(db, identity("grace", "1"))
    for number in range(ROUNDS):
        with db.write() as tx:
            project = projects.create(tx, f"project-{number}", None, NOW)
        now_in = identity("grace", "1", Role.ADMIN, project.name)
        came = together(BROWSERS, lambda _, now_in=now_in: come(db, now_in))
        assert all(isinstance(each, SignedIn) for each in came)
        with db.read() as tx:
            user = users.named(tx, "grace")
        assert user is not None
        assert [(each.role, each.project_id) for each in user.grants] == [(Role.ADMIN, project.id)]


def test_a_browser_that_signs_in_twice_at_once_is_remembered_once(db: Database) -> None:
    came = come(db, identity("grace", "1"))
    assert isinstance(came, SignedIn)
    for number in range(ROUNDS):
        device = f"the same {number}"
        came = together(BROWSERS, lambda _, device=device: come(db, identity("grace", "1"), device))
        assert all(isinstance(each, SignedIn) for each in came)
        with db.read() as tx:
            assert sessions.is_known(tx, 1, device=digest(device), network="") == (True, False)
