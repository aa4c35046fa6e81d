"""Who is calling: an API token, or a browser that is logged in. No policy lives here."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from app.commands import sessions, tokens
from app.domain.principals import Principal
from app.web.server_context import server_of

COOKIE = "jobyard_session"
DEVICE = "jobyard_device"  # knows a browser again whose user logged in before


def identify(connection: HTTPConnection) -> Principal | None:
    """The caller, or None. Blocking: it asks the store."""
    server = server_of(connection)
    now = server.clock.now()
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.holder_of(server.db, credentials.strip(), now, server.admin_token_hash)
    session = connection.cookies.get(COOKIE)
    if not session:
        return None
    return sessions.owner_of(server.db, session, now, server.desk.limits, server.admin_token_hash)
