"""`/login/oidc` and its `/callback`: signing in by an identity provider.

What was begun goes with the browser, sealed in a cookie, and comes back with it: nothing is stored for strangers, any
server of the installation can go on, and an answer that another browser brings is of no use.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.commands.provider_sign_in import NotAdmitted, sign_in_by_provider, turn_away
from app.commands.sign_in import SignedIn
from app.domain.errors import Busy, JobyardError
from app.domain.identities import Begun, NotProven, ProviderUnavailable
from app.domain.sealing import Place
from app.runtime.ports import IdentityProvider, Vault
from app.web.pages.context import PageContext, get, see
from app.web.pages.login import client_of, inside, login_page, set_cookie, with_session

BEGUN = "jobyard_sign_in"
AT_SIGN_IN = Place("sign-in", 0, "browser")
PATH = "/login/oidc"
LASTS = timedelta(minutes=10)
ANOTHER = "This sign-in was begun in another browser, was used already, or took over 10 min: begin again."
DENIED = "The identity provider did not let you in, or you declined: begin again, or log in with a password."


@dataclass(frozen=True)
class Pending:
    """A sign-in of this browser, and where it leads."""

    begun: Begun
    wanted: str
    at: datetime

    def sealed(self, vault: Vault) -> str:
        told = {**asdict(self.begun), "address": "", "wanted": self.wanted, "at": self.at.isoformat()}
        return vault.seal(json.dumps(told), AT_SIGN_IN)

    @classmethod
    def opened(cls, vault: Vault, sealed: str) -> Pending:
        """Raises JobyardError, ValueError or LookupError for what was not sealed here."""
        told = json.loads(vault.open(sealed, AT_SIGN_IN))
        wanted, at = told.pop("wanted"), datetime.fromisoformat(told.pop("at"))
        return cls(Begun(**told), wanted, at)


def begin(ctx: PageContext) -> Response:
    provider, wanted = ctx.server.provider, inside(ctx.query("next"))
    if provider is None or ctx.principal is not None:
        return see("/login" if provider is None else wanted)
    try:
        begun = provider.begin(f"{ctx.address}{PATH}/callback", ctx.now)
    except (ProviderUnavailable, Busy) as error:
        return _turned_away(ctx, error, wanted)
    answer = RedirectResponse(begun.address, 303, headers={"Cache-Control": "no-store"})
    sealed = Pending(begun, wanted, ctx.now).sealed(ctx.server.vault)
    set_cookie(ctx, answer, BEGUN, sealed, int(LASTS.total_seconds()))
    return answer


def finish(ctx: PageContext) -> Response:
    provider = ctx.server.provider
    if provider is None:
        return see("/login")
    pending = _pending(ctx)
    wanted = "/" if pending is None else inside(pending.wanted)
    try:
        signed_in = _sign_in(ctx, provider, pending)
    except (NotAdmitted, NotProven, ProviderUnavailable, Busy) as error:
        answer = _turned_away(ctx, error, wanted)
    else:
        answer = with_session(ctx, see(wanted), signed_in)
    answer.delete_cookie(BEGUN)
    return answer


def _sign_in(ctx: PageContext, provider: IdentityProvider, pending: Pending | None) -> SignedIn:
    if pending is None:
        raise NotProven(ANOTHER)
    if ctx.query("iss") not in ("", provider.issuer):
        raise NotProven("The answer is not from the identity provider of this server: begin again.")
    if not ctx.query("code"):
        raise NotProven(DENIED)
    identity = provider.finish(ctx.query("code"), pending.begun, ctx.now)
    return sign_in_by_provider(ctx.server.db, ctx.server.desk, identity, client_of(ctx), ctx.now)


def _pending(ctx: PageContext) -> Pending | None:
    """What this browser has begun, if the answer is to that."""
    try:
        pending = Pending.opened(ctx.server.vault, ctx.request.cookies.get(BEGUN, ""))
    except (JobyardError, ValueError, LookupError, TypeError):
        return None
    is_recent = timedelta(0) <= ctx.now - pending.at < LASTS
    state = ctx.query("state").encode()
    return pending if is_recent and hmac.compare_digest(state, pending.begun.state.encode()) else None


def _turned_away(ctx: PageContext, error: JobyardError, wanted: str) -> Response:
    turn_away(ctx.server.db, ctx.server.desk, client_of(ctx), str(error), ctx.now)
    status = {ProviderUnavailable: 503, Busy: 429, NotAdmitted: 403}.get(type(error), 422)
    return login_page(ctx, status, wanted, trouble=str(error))


def routes() -> list[Route]:
    return [get(PATH, begin, right=None), get(f"{PATH}/callback", finish, right=None)]
