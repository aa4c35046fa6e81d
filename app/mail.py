"""Hands one mail over to a mail server, within a bounded time. No error names the password or what the mail says."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from app.domain.mail import MailRefused, MailServer, MailUnavailable, Message

ANSWER_SECONDS = 10.0  # for each answer of the server
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
            self._send(message)
        except smtplib.SMTPAuthenticationError:
            raise MailUnavailable(
                "The mail server refuses the user or the password of JOBYARD_SMTP_URL."
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise _refusal(f"The mail server does not take mail for {message.to}", code) from None
        except smtplib.SMTPResponseException as error:
            raise _refusal("The mail server does not take the mail", error.smtp_code) from None
        except ssl.SSLError:
            raise MailUnavailable(
                "The mail server can't be spoken to by TLS: its certificate must be of its name and known here."
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
                raise MailUnavailable(f"The mail server did not answer in {ANSWER_SECONDS:g} s.") from None
            raise MailUnavailable("The mail server can't be reached, or does not speak SMTP.") from None

    def _send(self, message: Message) -> None:
        own = self._server
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = own.sender, message.to, message.subject
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=own.sender.rpartition("@")[2])
        mail.set_content(message.text)
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
                smtp.login(own.user, own.password)
            smtp.send_message(mail)


def _refusal(what: str, code: int) -> MailUnavailable | MailRefused:
    kind = MailRefused if code >= 500 else MailUnavailable
    return kind(f"{what} (status {code}).")
