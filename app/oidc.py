"""Sign-in by OpenID Connect: the authorization code flow with PKCE (S256), state and nonce, as Authlib does it.

The provider is asked when somebody signs in, and not before: what it says of itself is kept for an hour, its keys until
a signature is not by one of them. Nothing that it sent, and no secret, is in an error or in the log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OAuthError, OpenIDMixin
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc.errors import BadSignatureError, ExpiredTokenError, InvalidClaimError, JoseError

from app.domain import limits
from app.domain.documents import Json, Stored
from app.domain.errors import Busy
from app.domain.identities import Begun, Identity, NotProven, ProviderUnavailable, claim_at, roles_claimed

ANSWER_SECONDS = 10.0
KEPT = timedelta(hours=1)
AT_ONCE = 4  # who waits for the provider: the others are told to come again
LEEWAY_SECONDS = 120  # that the two clocks may differ by
WELL_KNOWN = "/.well-known/openid-configuration"
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
METADATA = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "scopes_supported",
    "token_endpoint_auth_methods_supported",
)
UNREADABLE = (AuthlibBaseError, JoseError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)
for _name in ("authlib", "httpx2"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they would log addresses, and what is secret in them


class _App(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]
    client_cls = OAuth2Client


class Provider:
    """One identity provider, as its administrator registered this server there."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, role_claim: str) -> None:
        self.issuer = issuer
        self.role_claim = role_claim
        self._client_id = client_id
        self._client_secret = client_secret
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._app: _App | None = None
        self._known_until: datetime | None = None

    def __repr__(self) -> str:
        return f"Provider({self.issuer!r})"

    def begin(self, redirect: str, now: datetime) -> Begun:
        """Where to send a browser that wants to sign in. Raises ProviderUnavailable, Busy."""
        with self._asked():
            made = self._ready(now).create_authorization_url(redirect)
            return Begun(made["url"], made["state"], made["nonce"], made["code_verifier"], redirect)

    def finish(self, code: str, begun: Begun, now: datetime) -> Identity:
        """Who has signed in, by the code that the browser brought. Raises ProviderUnavailable, NotProven, Busy."""
        with self._asked():
            app = self._ready(now)
            token = self._token(app, code, begun)
            claims = _verified(app, token, begun.nonce, now)
            if claim_at(claims, self.role_claim) is None:
                claims = {**_asked_for(app, token, claims["sub"]), **claims}
        return self._identity(claims)

    def _token(self, app: _App, code: str, begun: Begun) -> Stored:
        try:
            token = app.fetch_access_token(begun.redirect, code=code, code_verifier=begun.verifier)
        except OAuthError as error:
            raise NotProven(_refusal(error)) from None
        if not isinstance(token.get("id_token"), str):
            raise NotProven(
                "The identity provider sent no ID token: is this server registered for OpenID Connect?"
            )
        return dict(token)

    def _identity(self, claims: Stored) -> Identity:
        subject = claims["sub"]
        if (
            not isinstance(subject, str)
            or not 0 < len(subject) <= limits.SUBJECT
            or not subject.isprintable()
        ):
            raise NotProven("The identity provider sent no subject that names somebody.")
        email = claims.get("email") if claims.get("email_verified") is True else None
        names = (claims.get(each) for each in ("preferred_username", "name", "email"))
        name = next((each for each in names if isinstance(each, str) and each.strip()), subject)
        return Identity(
            self.issuer,
            subject,
            name,
            email if isinstance(email, str) else None,
            self.role_claim,
            roles_claimed(claims, self.role_claim),
        )

    def _ready(self, now: datetime) -> _App:
        """What is known of the provider, asked anew once an hour."""
        app, until = self._app, self._known_until
        if app is not None and until is not None and now < until <= now + KEPT:
            return app
        app = self._discovered()
        self._app, self._known_until = app, now + KEPT
        return app

    def _discovered(self) -> _App:
        app = _App(
            None,
            client_id=self._client_id,
            client_secret=self._client_secret,
            server_metadata_url=self.issuer.rstrip("/") + WELL_KNOWN,
            client_kwargs={"timeout": ANSWER_SECONDS, "code_challenge_method": "S256"},
        )
        said = dict(app.load_server_metadata())
        if said.get("issuer") != self.issuer:
            raise ProviderUnavailable(
                "The identity provider calls itself by another address than JOBYARD_OIDC_ISSUER: set it to just that."
            )
        known = {name: said[name] for name in METADATA if name in said}
        signed_by = [
            each for each in ALGORITHMS if each in said.get("id_token_signing_alg_values_supported", ())
        ]
        known["id_token_signing_alg_values_supported"] = signed_by or ["RS256"]
        app.server_metadata = {**known, "_loaded_at": said["_loaded_at"]}
        app.client_kwargs |= {"scope": self._scope(said), "token_endpoint_auth_method": _auth_method(said)}
        return app

    def _scope(self, said: Stored) -> str:
        """What is asked for. Some providers send a claim such as `groups` only with a scope of that name."""
        first = self.role_claim.partition(".")[0]
        more = [first] if first in said.get("scopes_supported", ()) else []
        return " ".join(dict.fromkeys(["openid", "profile", "email", *more]))

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Bound how many wait for the provider, and say in a sentence what its answers were worth."""
        if not self._places.acquire(blocking=False):
            raise Busy("Too many are signing in at once: try again in a moment.")
        try:
            yield
        except httpx2.HTTPStatusError as error:
            raise ProviderUnavailable(
                f"The identity provider answered with status {error.response.status_code}: try again later."
            ) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
            raise ProviderUnavailable("The identity provider can't be reached: try again later.") from None
        except UNREADABLE as error:
            if isinstance(error, (NotProven, ProviderUnavailable)):
                raise
            raise ProviderUnavailable(
                "The identity provider's answer can't be read: try again later."
            ) from None
        finally:
            self._places.release()


def _auth_method(said: Stored) -> str:
    supported = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return "client_secret_basic" if "client_secret_basic" in supported else "client_secret_post"


def _verified(app: _App, token: Stored, nonce: str, now: datetime) -> Json:
    """The claims of the ID token: signed by the provider, for us, for this sign-in, and not out of date."""
    options = {
        "iss": {"essential": True, "value": app.server_metadata["issuer"]},
        "aud": {"essential": True, "value": app.client_id},
    }
    how: Json = {"claims_options": options, "claims_cls": _claims_at(now), "leeway": LEEWAY_SECONDS}
    try:
        try:
            return dict(app.parse_id_token(token, nonce, **how))
        except BadSignatureError:  # the provider has other keys by now, and their names don't tell
            app.server_metadata.pop("jwks", None)
            return dict(app.parse_id_token(token, nonce, **how))
    except JoseError as error:
        raise NotProven(_fault_of(error)) from None


def _claims_at(now: datetime) -> type[Any]:
    """Claims that are looked at as of now, by this server's clock."""

    class Claims(CodeIDToken):  # type: ignore[misc]
        def validate(self, _now: int | None = None, leeway: int = 0) -> None:
            super().validate(int(now.timestamp()), leeway)

    return Claims


def _fault_of(error: JoseError) -> str:
    claim = error.claim if isinstance(error, (ExpiredTokenError, InvalidClaimError)) else ""
    if claim in ("exp", "iat", "nbf"):
        return (
            "The identity provider's answer is of another time: its clock and this server's differ by over "
            f"{LEEWAY_SECONDS // 60} min."
        )
    if claim == "aud":
        return "The identity provider's answer is for another application: see JOBYARD_OIDC_CLIENT_ID."
    return "The identity provider's answer can't be verified: begin again."


def _refusal(error: OAuthError) -> str:
    if error.error in ("invalid_client", "unauthorized_client"):
        return (
            "The identity provider does not know this server: see JOBYARD_OIDC_CLIENT_ID and _CLIENT_SECRET."
        )
    return "The identity provider does not take this sign-in any more: begin again."


def _asked_for(app: _App, token: Stored, subject: object) -> Json:
    """What the provider tells of the user when asked: some put less into the ID token."""
    if "userinfo_endpoint" not in app.server_metadata:
        return {}
    told = dict(app.userinfo(token=dict(token)))
    if told.get("sub") != subject:
        raise NotProven("The identity provider's answers are about two users: begin again.")
    return told
