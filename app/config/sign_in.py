"""Who is let in: the administrator's token, the identity provider, and for how long a browser stays logged in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.config.group import Group
from app.domain.errors import UserError
from app.domain.guessing import require_unguessable
from app.domain.public_url import read_issuer

SHORTEST_ADMIN_TOKEN = 20


def _long_enough(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None
    require_unguessable(value.get_secret_value(), SHORTEST_ADMIN_TOKEN)
    return value


def _issuer(value: str | None) -> str | None:
    return read_issuer(value) if value else None


@dataclass(frozen=True)
class OidcSettings:
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    role_claim: str


class SignInSettings(Group):
    admin_token: Annotated[SecretStr | None, AfterValidator(_long_enough)] = Field(
        default=None, description="an API token with all rights, for automation and first set-up"
    )
    oidc_issuer: Annotated[str | None, AfterValidator(_issuer)] = Field(
        default=None, description="sign-in by OpenID Connect: the provider's address, as it calls itself"
    )
    oidc_client_id: str | None = Field(default=None, description="what the provider knows this server by")
    oidc_client_secret: SecretStr | None = Field(default=None, description="proves that to the provider")
    oidc_role_claim: str | None = Field(
        default=None, description="the claim with the role, such as groups or realm_access.roles"
    )
    session_idle_hours: int = Field(
        default=7 * 24,
        ge=1,
        le=8760,
        description="without being used, a browser stays logged in for this long",
    )
    session_hours: int = Field(
        default=14 * 24, ge=1, le=8760, description="a browser stays logged in for this long at most"
    )

    @property
    def oidc(self) -> OidcSettings | None:
        """The identity provider, if there is one. Raises UserError for one that is only half set."""
        secret = self.oidc_client_secret.get_secret_value() if self.oidc_client_secret else ""
        given = {
            "JOBYARD_OIDC_ISSUER": self.oidc_issuer or "",
            "JOBYARD_OIDC_CLIENT_ID": self.oidc_client_id or "",
            "JOBYARD_OIDC_CLIENT_SECRET": secret,
            "JOBYARD_OIDC_ROLE_CLAIM": self.oidc_role_claim or "",
        }
        missing = [name for name, value in given.items() if not value]
        if len(missing) == len(given):
            return None
        if missing:
            is_ = "is" if len(missing) == 1 else "are"
            raise UserError(
                f"{_listed(given)} are set together or not at all: {_listed(missing)} {is_} missing."
            )
        return OidcSettings(*given.values())


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
