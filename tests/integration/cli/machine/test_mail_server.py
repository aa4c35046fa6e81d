"""`jobyard doctor` at a mail server: it logs in as for a mail, sends none, and says what is wrong in one sentence."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from app import mail
from app.cli import doctor_outside
from tests.support.cli import Cli
from tests.support.mail_server import (
    PASSWORD,
    USER,
    Postbox,
    curt_server,
    mail_server,
    make_certificate,
    silent_server,
)
from tests.support.server import free_port

HIDDEN = "hunter2 ünd more"
Ask = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("mail") / "mail.pem")


@pytest.fixture
def by_tls(certificate: Path) -> Iterator[Postbox]:
    with mail_server(certificate) as running:
        yield running
    assert running.got == []


@pytest.fixture
def plain() -> Iterator[Postbox]:
    with mail_server() as running:
        yield running
    assert running.got == []


@pytest.fixture
def ask(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The state and the sentence, in which the address is left out."""
    monkeypatch.setenv("JOBYARD_PUBLIC_URL", "https://jobyard.example.com")

    def asked(
        port: int, password: str = "", *, host: str = "127.0.0.1", scheme: str = "smtp"
    ) -> tuple[str, str]:
        login = f"{USER}:{quote(password)}@" if password else ""
        url = f"{scheme}://{login}{host}:{port}?from=jobyard@example.com"
        monkeypatch.setenv("JOBYARD_SMTP_URL", url)
        done = cli("doctor", "--json")
        for hidden in filter(None, (password, quote(password))):
            assert hidden not in done.out + done.err
        (found,) = [each for each in json.loads(done.out)["items"] if each["what"] == "mail server"]
        assert found["sentence"].startswith(f"{host}:{port}")
        return found["state"], found["sentence"].removeprefix(f"{host}:{port}").lstrip(": ")

    return asked


def test_without_a_mail_server_none_is_asked(cli: Cli) -> None:
    assert "mail server" not in cli("doctor").out


def test_one_that_takes_the_password_by_tls(
    ask: Ask, by_tls: Postbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert ask(by_tls.port, PASSWORD) == ("ok", "answers by TLS and takes the password.")
    assert ask(by_tls.port) == ("ok", "answers by TLS.")
    wrong = "The mail server refuses the user or the password of JOBYARD_SMTP_URL."
    assert ask(by_tls.port, "another password") == ("fail", wrong)
    beyond = "User and password of JOBYARD_SMTP_URL must be in ASCII to be sent."
    assert ask(by_tls.port, HIDDEN) == ("fail", beyond)


def test_one_whose_certificate_is_of_nobody_known(ask: Ask, by_tls: Postbox) -> None:
    said = "The mail server can't be spoken to by TLS: its certificate must be of its name and known here."
    assert ask(by_tls.port, PASSWORD) == ("fail", said)


def test_one_without_tls(ask: Ask, plain: Postbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(plain.port) == ("ok", "answers.")
    no_password = f"The mail server takes no password at port {plain.port}: try another one, or none."
    assert ask(plain.port, PASSWORD) == ("fail", no_password)
    no_tls = f"The mail server does not speak TLS at port {plain.port}."
    assert ask(plain.port, PASSWORD, scheme="smtps") == ("fail", no_tls)
    monkeypatch.setattr(mail, "HERE", ())  # as if it were elsewhere
    not_sent = "The mail server has no TLS, so the password is not sent to it."
    assert ask(plain.port, PASSWORD) == ("fail", not_sent)
    read = "answers without TLS: who is on the way can read the mails, with links to accounts in them."
    assert ask(plain.port) == ("warn", read)


def test_one_that_is_not_there(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    refused = f"The mail server can't be reached: 127.0.0.1 refuses connections at port {port}."
    assert ask(port, PASSWORD) == ("fail", refused)
    unknown = "The mail server can't be found: no address is known for mail..example.com."
    assert ask(25, PASSWORD, host="mail..example.com") == ("fail", unknown)
    real = socket.getaddrinfo

    def resolve(host: str, *rest: object, **named: object) -> object:
        if host == "mail.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert ask(25, PASSWORD, host="mail.example.com") == ("fail", unknown.replace("..", "."))


def test_one_that_lets_wait(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_server() as port:
        monkeypatch.setattr(mail, "ANSWER_SECONDS", 0.2)
        assert ask(port, PASSWORD) == ("fail", "The mail server did not answer in 0.2 s.")
        monkeypatch.setattr(mail, "ANSWER_SECONDS", 60)
        monkeypatch.setattr(doctor_outside, "MAIL_SECONDS", 0.2)
        said = "The mail server did not answer all questions in 0.2 s."
        assert ask(port, PASSWORD) == ("fail", said)


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (b"421 too many connections\r\n", "The mail server takes no mail now (status 421)."),
        (b"", "The mail server can't be reached, or does not speak SMTP."),
        (b"SSH-2.0-OpenSSH_9\r\n", "The mail server can't be reached, or does not speak SMTP."),
    ],
)
def test_one_that_is_busy_or_no_mail_server(ask: Ask, says: bytes, sentence: str) -> None:
    with curt_server(says) as port:
        assert ask(port, PASSWORD) == ("fail", sentence)
