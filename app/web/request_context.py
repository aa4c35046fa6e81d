"""What every request to the API and the pages has in common: who sent it, when, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from starlette.requests import Request

from app.domain.principals import INSTALLATION, Principal, Right, least_role
from app.web.addresses import address_shown
from app.web.auditing import from_address
from app.web.principal import identify
from app.web.problems import Problem
from app.web.server_context import ServerContext, server_of


@dataclass(frozen=True)
class RequestContext:
    """One request that was let in. The API adds what it validated, the pages what a form holds.

    `principal` is None only on pages that are open to everybody; `now` is when the request was let in. `right` is
    what the route declares: the caller has it somewhere, and `reach` looks that they have it in the project asked for.
    """

    request: Request
    server: ServerContext
    principal: Principal | None
    now: datetime
    right: Right

    @property
    def who(self) -> str:
        """The caller in what is stored of this: a token is told from a user who is called the same."""
        return self.principal.called if self.principal else "nobody"

    @property
    def from_address(self) -> str:
        """Where the request is from, as far as a proxy in front is trusted."""
        return from_address(self.request)

    @property
    def address(self) -> str:
        """This server's address, for links that the reader copies; see `address_shown`."""
        return address_shown(self.request)

    def path(self, name: str) -> str:
        """A parameter of the path, as text."""
        return str(self.request.path_params[name])

    @property
    def whom(self) -> str:
        """The caller in a sentence to them."""
        return "you" if self.principal is None or self.principal.is_browser else "this token"

    def may(self, right: str, project_id: int | None = None) -> bool:
        """Whether the caller has the right in this project, or (None) in the whole installation."""
        return self.principal is not None and self.principal.may(Right(right), project_id)

    def may_somewhere(self, right: str) -> bool:
        return self.principal is not None and self.principal.may_somewhere(Right(right))

    def reaches(self, project_id: int) -> bool:
        """Whether the caller may know of the project at all."""
        return self.principal is not None and self.principal.reaches(project_id)

    @property
    def projects(self) -> frozenset[int] | None:
        """The ids of the projects in which the caller has the right of this route; None stands for all."""
        return frozenset() if self.principal is None else self.principal.projects_with(self.right)

    def may_still(self, project_id: int | None = None) -> bool:
        """Whether who sent the request may go on reading its answer: asks the store again.

        A session may have ended since, a token been revoked, a right been taken away.
        """
        return self._has(identify(self.request), project_id)

    def still_readable(self, project_ids: frozenset[int | None]) -> frozenset[int | None]:
        """Of these projects, those in which `may_still`: asks the store once for all of them."""
        principal = identify(self.request)
        return frozenset(each for each in project_ids if self._has(principal, each))

    def _has(self, principal: Principal | None, project_id: int | None) -> bool:
        """Whether this one has the right of this route in the project, or (None) in any."""
        if principal is None:
            return False
        if project_id is None:
            return principal.may_somewhere(self.right)
        return principal.may(self.right, project_id)

    def require(self, right: Right, project_id: int | None = None) -> None:
        """Raises 403 unless the caller has the right in this project, or (None) in the whole installation."""
        if not self.may(right, project_id):
            assert self.principal is not None
            raise Problem(403, lacks_right(self.principal, right))


def require_admission(principal: Principal, right: Right, *, in_project: bool) -> None:
    """Raises 403 for who can't have what a route is for. Of one whose path names a project, `reach` sees the rest."""
    if not (principal.may_ask_for(right) if in_project else principal.may_somewhere(right)):
        raise Problem(403, lacks_right(principal, right))


def lacks_right(principal: Principal, right: Right) -> str:
    if right in INSTALLATION and principal.projects_with(Right.READ) is not None:
        return f"This is not for {principal.name}, who is limited to single projects."
    return f"This needs the role {least_role(right)}; {principal.name} has {principal.label}."


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
