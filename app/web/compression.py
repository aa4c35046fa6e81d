"""What is sent compressed: answers to GET that are read whole. A page of many jobs is a tenth of its size then."""

from __future__ import annotations

from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

SMALLEST = 1000  # bytes: below this the work is worth more than the bytes
LEVEL = 5  # 9 takes four times as long on a page, for a twentieth less


class Compression:
    """Gzip for pages, their static files and the API's JSON.

    A compressed answer that holds a secret and also something a stranger chose tells the secret by its size (BREACH).
    None does: forms carry no token, as `visit.refuse_other_sites` goes by what the browser says; the session's cookie
    is in no body, and is `SameSite=Lax`, so another site can't ask for pages in a visitor's name by the thousand.
    The answers that show a new secret answer a POST, and those stay as they are. So do logs, which a job may have
    printed anything to, and event streams, whose every event must arrive at once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = GZipMiddleware(
            app,
            minimum_size=SMALLEST,
            compresslevel=LEVEL,
            exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, "text/plain"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        await (self._compressed if is_get else self._plain)(scope, receive, send)
