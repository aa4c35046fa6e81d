"""Hands one mail over to a mail server, within a bounded time. No error names the password or what the mail says."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from app.domain.mail import MailRefused, MailServer, MailUnavailable, Message

ANSWER_SECONDS = 10.0  # for each answer of the server
UNREACHED = (smtplib.SMTPException, OSError, UnicodeError)  # the last for a name that none can have
HERE = ("localhost", "127.0.0.1", "::1")


class Mailer:
    """A mail server, spoken to anew for each message."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    def __repr__(self) -> str:
        return f"Mailer({self._server!r})"

    def send(self, message: Message) -> None:
        """Return when the server has taken it. Raises MailUnavailable, or MailRefused where trying again is no use."""
        try:
            with self._logged_in() as smtp:
                smtp.send_message(self._mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise _refusal(f"The mail server does not take mail for {message.to}", code) from None
        except smtplib.SMTPResponseException as error:
            raise _refusal("The mail server does not take the mail", error.smtp_code) from None
        except UNREACHED as error:
            raise self._unavailable(error) from None

    def check(self) -> bool:
        """Connect and log in as for a mail, and send none; whether by TLS. Raises MailUnavailable, MailRefused."""
        try:
            with self._logged_in() as smtp:
                return isinstance(smtp.sock, ssl.SSLSocket)
        except smtplib.SMTPResponseException as error:
            raise _refusal("The mail server takes no mail now", error.smtp_code) from None
        except UNREACHED as error:
            raise self._unavailable(error) from None

    @contextmanager
    def _logged_in(self) -> Iterator[smtplib.SMTP]:
        own = self._server
        context = ssl.create_default_context()
        if own.is_tls:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                own.host, own.port, timeout=ANSWER_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(own.host, own.port, timeout=ANSWER_SECONDS)
        with connection as smtp:
            smtp.ehlo()
            if not own.is_tls and smtp.has_extn("starttls"):
                smtp.starttls(context=context)
                smtp.ehlo()
            elif not own.is_tls and own.user and own.host not in HERE:
                raise MailUnavailable("The mail server has no TLS, so the password is not sent to it.")
            if own.user:
                self._log_in(smtp)
            yield smtp

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        try:
            smtp.login(self._server.user, self._server.password)
        except smtplib.SMTPAuthenticationError:
            said = "The mail server refuses the user or the password of JOBYARD_SMTP_URL."
            raise MailUnavailable(said) from None
        except UnicodeError:
            raise MailUnavailable(
                "User and password of JOBYARD_SMTP_URL must be in ASCII to be sent."
            ) from None
        except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected):
            raise
        except smtplib.SMTPException:
            said = f"The mail server takes no password at port {self._server.port}: try another one, or none."
            raise MailUnavailable(said) from None

    def _mail(self, message: Message) -> EmailMessage:
        sender = self._server.sender
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, message.to, message.subject
        domain = sender.rpartition("@")[2]
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{message.key}@{domain}>" if message.key else make_msgid(domain=domain)
        mail["Auto-Submitted"] = "auto-generated"  # no reply of an absence is wanted
        mail.set_content(message.text)
        return mail

    def _unavailable(self, error: Exception) -> MailUnavailable:
        host, port = self._server.host, self._server.port
        if isinstance(error, ssl.SSLCertVerificationError):
            said = "can't be spoken to by TLS: its certificate must be of its name and known here."
        elif isinstance(error, ssl.SSLError):
            said = f"does not speak TLS at port {port}."
        elif isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            said = f"did not answer in {ANSWER_SECONDS:g} s."
        elif isinstance(error, (socket.gaierror, UnicodeError)):
            said = f"can't be found: no address is known for {host}."
        elif isinstance(error, ConnectionRefusedError):
            said = f"can't be reached: {host} refuses connections at port {port}."
        else:
            return _no_mail_server()
        return MailUnavailable(f"The mail server {said}")


def _refusal(what: str, code: int) -> MailUnavailable | MailRefused:
    if code < 0:  # what came was no answer at all
        return _no_mail_server()
    kind = MailRefused if code >= 500 else MailUnavailable
    return kind(f"{what} (status {code}).")


def _no_mail_server() -> MailUnavailable:
    return MailUnavailable("The mail server can't be reached, or does not speak SMTP.")
