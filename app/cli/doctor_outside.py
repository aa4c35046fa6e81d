"""The servers of others that Jobyard is set to use, asked as it would ask them: for `jobyard doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli.findings import Finding
from app.domain.errors import JobyardError

if TYPE_CHECKING:
    from app.config import Settings

MAIL_SECONDS = 30  # for all answers of the mail server together, and for finding it


def check_provider(settings: Settings) -> Iterator[Finding]:
    """Ask the identity provider, if there is one, and say what to register there."""
    from app.bootstrap.web import make_provider
    from app.system import SystemClock

    provider, what = make_provider(settings), "identity provider"
    if provider is None:
        return
    if settings.public_url is None:
        sentence = "Set JOBYARD_PUBLIC_URL: the provider sends browsers back to an address that it knows."
        yield Finding("warn", what, sentence)
    redirect = f"{settings.public_url or 'http://HOST:PORT'}/login/oidc/callback"
    try:
        provider.begin(redirect, SystemClock().now())
    except JobyardError as error:
        yield Finding("fail", what, f"{provider.issuer}: {error}")
        return
    yield Finding(
        "ok", what, f"{provider.issuer} answers; the redirect address to register there is {redirect}."
    )


def check_mail(settings: Settings) -> Iterator[Finding]:
    """Connect to the mail server, if there is one, and log in there; nothing is sent."""
    from app.mail import HERE, Mailer
    from app.runtime.threads import with_deadline

    server, what = settings.mail_server, "mail server"
    if server is None:
        return
    where = f"{server.host}:{server.port}"
    try:
        is_by_tls = with_deadline(MAIL_SECONDS, "mail", Mailer(server).check)
    except TimeoutError:
        said = f"The mail server did not answer all questions in {MAIL_SECONDS} s."
        yield Finding("fail", what, f"{where}: {said}")
    except JobyardError as error:
        yield Finding("fail", what, f"{where}: {error}")
    else:
        takes = " and takes the password" if server.user else ""
        if is_by_tls or server.host in HERE:
            yield Finding("ok", what, f"{where} answers{' by TLS' if is_by_tls else ''}{takes}.")
        else:
            said = "without TLS: who is on the way can read the mails, with links to accounts in them"
            yield Finding("warn", what, f"{where} answers {said}.")


def check_traces(_settings: Settings) -> Iterator[Finding]:
    """Check whether traces can be sent, where a variable says where to; the collector is not asked."""
    from app.config import traces

    if hindrance := traces.hindrance():
        yield Finding("warn", "traces", hindrance)
    elif variable := traces.endpoint_variable():
        yield Finding("ok", "traces", f"They are sent to where {variable} says.")
