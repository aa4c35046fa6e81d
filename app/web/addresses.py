"""What this server is called, for the one who asks."""

from __future__ import annotations

import re

from starlette.requests import HTTPConnection

from app.web.server_context import server_of

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def address_shown(request: HTTPConnection) -> str:
    """JOBYARD_PUBLIC_URL; without it, what the asker called the server by, as that has reached it.

    Only for the answer to this request: whoever sends a request chooses its host, so nothing that is stored, or sent
    to anybody else, may hold it. That takes `server.public_url`.
    """
    server = server_of(request)
    host = request.headers.get("host", "")
    if server.is_public_url_set or not _HOST.fullmatch(host):
        return server.public_url
    scheme = "https" if request.url.scheme in ("https", "wss") else "http"
    return f"{scheme}://{host}"
