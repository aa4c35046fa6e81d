"""What every request to the API and the pages has in common: who sent it, when, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from starlette.requests import Request

from app.domain.principals import Principal, Role
from app.web.addresses import address_shown
from app.web.problems import Problem
from app.web.server_context import ServerContext, server_of


@dataclass(frozen=True)
class RequestContext:
    """One request that was let in. The API adds what it validated, the pages what a form holds.

    `principal` is None only on pages that are open to everybody; `now` is when the request was let in.
    """

    request: Request
    server: ServerContext
    principal: Principal | None
    now: datetime

    @property
    def who(self) -> str:
        return self.principal.name if self.principal else "nobody"

    @property
    def address(self) -> str:
        """This server's address, for links that the reader copies; see `address_shown`."""
        return address_shown(self.request)

    def path(self, name: str) -> str:
        """A parameter of the path, as text."""
        return str(self.request.path_params[name])

    def may(self, role: str) -> bool:
        """Whether the caller has the role for the whole installation."""
        return self.principal is not None and self.principal.may(Role(role))

    def reaches(self, project_id: int) -> bool:
        """Whether the caller may know of the project at all."""
        return self.principal is not None and self.principal.project_id in (None, project_id)


def lacks_role(principal: Principal, role: Role) -> str:
    return f"This needs the role {role}; {principal.name} has {principal.role}."


def refuse_other_sites(request: Request) -> None:
    """Raises 403 for a request that a page of another site made a browser send: its session is not that site's.

    Browsers say where a request is from; what says nothing is no browser, and has no session to misuse.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        hosts = {request.headers.get("host"), urlsplit(server_of(request).public_url).netloc}
        is_ours = origin is None or urlsplit(origin).netloc in hosts
    if not is_ours:
        raise Problem(403, "A page of another site asked for this: go back to Jobyard and do it there.")
