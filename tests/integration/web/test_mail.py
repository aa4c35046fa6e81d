"""Links to accounts by mail: sent by a loop from stored rows, told of on pages, and to nobody else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app import mail as adapter
from app.commands import accounts
from app.commands.accounts import make_administrator
from app.domain.audit import Action
from app.domain.mail import DELAYS, MailRefused, MailServer, MailUnavailable, Message, read_mail_server
from app.domain.principals import Role
from app.mail import Mailer
from app.store import mails, users
from app.store.users import User
from app.web.app import create_app
from app.web.server_context import ServerContext
from app.workers.mail import SENDING_TAKES_AT_MOST, MailWorker
from tests.support.api import Caller
from tests.support.audited import entries
from tests.support.client import Client
from tests.support.clock import START, Clock
from tests.support.installation import Installation
from tests.support.mail_server import PASSWORD as MAILBOX
from tests.support.mail_server import USER, Postbox, mail_server, make_certificate, silent_server
from tests.support.seed import PASSWORD

URL = "https://jobyard.example.com"
SENDER = "jobyard@example.com"
MESSAGE = Message("ada@example.com", "Hello", "How are you?")
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[ServerContext]:
    with Installation.bare(tmp_path) as place:
        make_administrator(place.db, "ada", PASSWORD, START)
        with place.db.write() as tx:
            accounts.change_user(tx, user_of(place.web, "ada"), name="ada", email="ada@example.com")
        yield replace(place.web, sends_mail=True)


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with mail_server() as running:
        yield running


def user_of(context: ServerContext, name: str) -> User:
    with context.db.read() as tx:
        found = users.named(tx, name)
    assert found is not None
    return found


def browser(context: ServerContext) -> Client:
    return Client(create_app(context, nullcontext), base_url=URL, follow_redirects=False, headers=OURS)


def inside(context: ServerContext) -> Client:
    client = browser(context)
    assert client.post("/login", data={"name": "ada", "password": PASSWORD}).status_code == 303
    return client


def worker(context: ServerContext, port: int) -> MailWorker:
    server = MailServer("127.0.0.1", port, is_tls=False, sender=SENDER)
    return MailWorker(context.db, context.clock, context.vault, Mailer(server).send, URL)


def link_in(said: str) -> str:
    found = re.search(rf"{URL}(/login/once/[\w-]+)", said)
    assert found is not None, said
    return found[1]


def advance(context: ServerContext, **time: float) -> None:
    assert isinstance(context.clock, Clock)
    context.clock.advance(**time)


def test_an_invitation_is_shown_and_mailed(context: ServerContext, postbox: Postbox, tmp_path: Path) -> None:
    admin = inside(context)
    answer = admin.post("/users", data={"name": "eve", "email": "eve@example.com", "role": "viewer"})
    link = link_in(answer.text)
    assert "A mail waits to be sent" in answer.text
    assert "It is handed over in a moment." in answer.text
    stored = b"".join(each.read_bytes() for each in tmp_path.glob("jobyard.db*"))
    assert link.rpartition("/")[2].encode() not in stored  # sealed
    assert worker(context, postbox.port).step()
    (mail,) = postbox.got
    assert (mail["To"], mail["From"]) == ("eve@example.com", SENDER)
    assert mail["Subject"] == "You are invited to Jobyard"
    assert "You are invited to Jobyard, as eve." in postbox.text()
    assert "Choose how you log in here, once, within a week:" in postbox.text()
    assert link_in(postbox.text()) == link
    page = admin.get(f"/users/{user_of(context, 'eve').id}").text
    assert "The link was mailed" in page
    assert "Mailed to eve@example.com." in page
    assert not worker(context, postbox.port).step()
    given = {"name": "eve", "email": "eve@example.com", "password": PASSWORD, "again": PASSWORD}
    assert browser(context).post(link, data=given).status_code == 303


def test_by_the_api_as_well_and_only_where_there_is_an_address(
    context: ServerContext, postbox: Postbox
) -> None:
    admin = Caller(context)
    made = admin.made("/users", {"name": "eve", "email": "eve@example.com"})
    admin.made("/users", {"name": "mallory"})
    again = admin.made(f"/users/{made['id']}/reset")
    sender = worker(context, postbox.port)
    assert [sender.step(), sender.step()] == [True, False]  # the newer link took the place of the older
    assert link_in(postbox.text()) in again["link"]


def test_the_api_tells_what_came_of_the_last_mail(context: ServerContext, postbox: Postbox) -> None:
    admin = Caller(context)
    made = admin.made("/users", {"name": "eve", "email": "eve@example.com"})

    def told() -> tuple[str, str, str | None, str | None]:
        mail = admin.got(f"/users/{made['id']}")["mail"]
        return mail["status"], mail["said"], mail["sent_at"], mail["next_try_at"]

    assert told() == ("waiting", "", None, "2026-01-31T12:00:00Z")
    worker(context, 1).step()
    refused = "The mail server can't be reached: 127.0.0.1 refuses connections at port 1."
    assert told() == ("waiting", refused, None, "2026-01-31T12:01:00Z")
    advance(context, minutes=1)
    worker(context, postbox.port).step()
    assert told() == ("sent", "Mailed to eve@example.com.", "2026-01-31T12:01:00Z", None)
    admin.made(f"/users/{made['id']}/reset")
    postbox.answer = "550 no such mailbox"
    worker(context, postbox.port).step()
    no_more = "The mail server does not take mail for eve@example.com (status 550)."
    assert told() == ("failed", no_more, None, None)


def test_whoever_asks_for_a_link_is_answered_alike(context: ServerContext, postbox: Postbox) -> None:
    with context.db.write() as tx:
        hashed = user_of(context, "ada").password_hash
        users.add(tx, "nowhere", hashed, Role.VIEWER, START)
        gone = users.add(tx, "gone", hashed, Role.VIEWER, START, email="gone@example.com")
        accounts.disable(tx, gone, START)
        users.add(tx, "invited", "", Role.VIEWER, START, email="invited@example.com")
    client = browser(context)
    assert 'href="/login/forgot"' in client.get("/login").text
    assert 'name="name"' in client.get("/login/forgot").text
    answers = {
        (answer.status_code, answer.text)
        for name in ("ada", "Ada@Example.com", "nobody", "nowhere", "gone", "invited", "", "x\ny" * 200)
        for answer in [client.post("/login/forgot", data={"name": name})]
    }
    assert len(answers) == 1
    assert "a link is on its way there" in answers.pop()[1]
    while worker(context, postbox.port).step():
        pass
    assert {mail["To"] for mail in postbox.got} == {"ada@example.com"}
    assert len(postbox.got) == 2
    assert postbox.got[0]["Subject"] == "Another password for Jobyard"
    assert "Somebody, perhaps you, asked for another password of ada in Jobyard." in postbox.text()
    assert "If it was not you, leave this link alone: the password stays as it is." in postbox.text()
    link = link_in(postbox.text())
    answer = client.post(link, data={"password": PASSWORD[::-1], "again": PASSWORD[::-1]})
    assert answer.status_code == 303
    assert client.get("/").status_code == 200
    with context.db.read() as tx:
        assert tx.connection().execute(text("SELECT count(*) FROM mail")).scalar() == 0
    assert [each.action for each in entries(context)].count(Action.USER_ASK_RESET) == 8


def test_who_asks_too_often_is_not_heard(context: ServerContext, postbox: Postbox) -> None:
    client = browser(context)
    for _ in range(10):
        assert client.post("/login/forgot", data={"name": "ada"}).status_code == 200
    while worker(context, postbox.port).step():
        pass
    assert len(postbox.got) == 3


def test_without_a_mail_server_there_is_no_such_page(context: ServerContext) -> None:
    client = browser(replace(context, sends_mail=False))
    assert "/login/forgot" not in client.get("/login").text
    assert client.get("/login/forgot").headers["location"] == "/login"
    assert client.post("/login/forgot", data={"name": "ada"}).headers["location"] == "/login"
    with context.db.read() as tx:
        assert mails.due_at(tx) is None


def test_a_server_that_is_down_is_told_of_and_tried_again(
    context: ServerContext, postbox: Postbox, caplog: pytest.LogCaptureFixture
) -> None:
    admin, ada = inside(context), user_of(context, "ada")
    link = link_in(admin.post(f"/users/{ada.id}/reset").text)
    sentence = "The mail server can't be reached: 127.0.0.1 refuses connections at port 1."
    assert worker(context, 1).step()
    page = admin.get(f"/users/{ada.id}").text.replace("&#39;", "'")
    assert "A mail waits to be sent" in page
    assert sentence in page
    assert f"for 'ada' was not sent, try 1: {sentence}" in caplog.text
    assert not worker(context, postbox.port).step()  # not yet
    advance(context, minutes=1)
    assert worker(context, postbox.port).step()
    assert link_in(postbox.text()) == link
    assert link not in caplog.text


def test_after_a_few_hours_it_is_given_up(context: ServerContext) -> None:
    admin, ada = inside(context), user_of(context, "ada")
    admin.post(f"/users/{ada.id}/reset")
    browser(context).post("/login/forgot", data={"name": "ada"})
    tries = 0
    for delay in (*DELAYS, DELAYS[-1]):
        while worker(context, 1).step():
            tries += 1
        advance(context, seconds=delay.total_seconds())
    assert tries == 2 * (len(DELAYS) + 1)
    page = admin.get(f"/users/{ada.id}").text
    assert "The link was not mailed" in page
    assert "Make another link, and hand it over yourself." in page
    with context.db.read() as tx:
        assert mails.due_at(tx) is None
        kept = mails.of_user(tx, ada.id)
    assert kept is not None
    assert kept.link is None


def test_a_server_that_refuses_is_told_of_at_once(context: ServerContext, postbox: Postbox) -> None:
    admin, ada = inside(context), user_of(context, "ada")
    admin.post(f"/users/{ada.id}/reset")
    postbox.answer = "550 no such mailbox"
    assert worker(context, postbox.port).step()
    page = admin.get(f"/users/{ada.id}").text
    assert "The link was not mailed" in page
    assert "The mail server does not take mail for ada@example.com (status 550)." in page
    postbox.answer = "451 come again"
    with pytest.raises(MailUnavailable) as said:
        Mailer(MailServer("127.0.0.1", postbox.port, False, SENDER)).send(MESSAGE)
    assert str(said.value) == "The mail server does not take mail for ada@example.com (status 451)."


def test_a_server_that_dies_while_it_sends_loses_no_mail(context: ServerContext, postbox: Postbox) -> None:
    inside(context).post(f"/users/{user_of(context, 'ada').id}/reset")

    def die(_message: Message) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(worker(context, 1), send=die).step()
    assert not worker(context, postbox.port).step()
    advance(context, seconds=SENDING_TAKES_AT_MOST.total_seconds())
    assert worker(context, postbox.port).step()
    assert len(postbox.got) == 1


def test_a_fault_of_ours_holds_up_no_other_mail(
    context: ServerContext, postbox: Postbox, caplog: pytest.LogCaptureFixture
) -> None:
    admin, ada = inside(context), user_of(context, "ada")
    admin.post(f"/users/{ada.id}/reset")

    def fail(_message: Message) -> None:
        raise ValueError("a fault")

    with caplog.at_level(logging.ERROR):
        assert replace(worker(context, 1), send=fail).step()
    page = admin.get(f"/users/{ada.id}").text.replace("&#39;", "'")
    assert "Jobyard failed while sending the mail; the server's log has more." in page
    with context.db.write() as tx:
        tx.connection().execute(text("UPDATE mail SET link = 'x', due_at = created_at"))
    assert worker(context, postbox.port).step()  # a link that can't be opened is no reason to stop either
    assert postbox.got == []


def test_a_server_that_hangs_is_waited_for_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "ANSWER_SECONDS", 0.2)
    with silent_server() as port, pytest.raises(MailUnavailable) as said:
        Mailer(MailServer("127.0.0.1", port, False, SENDER)).send(MESSAGE)
    assert str(said.value) == "The mail server did not answer in 0.2 s."


def test_a_password_is_sent_by_tls_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path / "mail.pem")
    with mail_server(certificate) as postbox:
        at = f"127.0.0.1:{postbox.port}?from={SENDER}"
        right = read_mail_server(f"smtp://{USER}:{MAILBOX.replace(' ', '%20')}@{at}")
        with pytest.raises(MailUnavailable) as said:
            Mailer(right).send(MESSAGE)
        assert str(said.value) == (
            "The mail server can't be spoken to by TLS: its certificate must be of its name and known here."
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        Mailer(right).send(MESSAGE)
        assert postbox.was_by_tls == [True]
        with pytest.raises(MailUnavailable) as said:
            Mailer(replace(right, password="another password")).send(MESSAGE)
        assert str(said.value) == "The mail server refuses the user or the password of JOBYARD_SMTP_URL."
        assert "another password" not in repr(replace(right, password="another password"))


def test_a_server_elsewhere_without_tls_gets_no_password(
    postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "HERE", ())
    with pytest.raises(MailUnavailable) as said:
        Mailer(MailServer("127.0.0.1", postbox.port, False, SENDER, USER, MAILBOX)).send(MESSAGE)
    assert str(said.value) == "The mail server has no TLS, so the password is not sent to it."


def test_a_refused_mail_is_told_by_its_status(postbox: Postbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> str:
        return "554 no"

    monkeypatch.setattr(Postbox, "handle_DATA", refuse)
    with pytest.raises(MailRefused) as said:
        Mailer(MailServer("127.0.0.1", postbox.port, False, SENDER)).send(MESSAGE)
    assert str(said.value) == "The mail server does not take the mail (status 554)."
