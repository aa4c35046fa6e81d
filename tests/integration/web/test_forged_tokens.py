"""What a provider that is broken, or not the one it says, can send: nothing of it lets anybody in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from app.domain.errors import Busy, JobyardError
from app.domain.identities import Begun, Identity, NotProven, ProviderUnavailable
from app.oidc import AT_ONCE, Provider
from tests.support.web_answers import Answers, web_answers

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
CALLBACK = "https://jobyard.example.com/login/oidc/callback"
KEY, ANOTHER_KEY = (RSAKey.generate_key(2048, {"kid": "one"}, private=True) for _ in range(2))
DISCOVERY = "/.well-known/openid-configuration"
UNREADABLE = "The identity provider's answer can't be read: try again later."
UNVERIFIED = "The identity provider's answer can't be verified: begin again."


@pytest.fixture
def web() -> Iterator[Answers]:
    with web_answers() as answers:
        answers.paths = {
            DISCOVERY: {
                "issuer": answers.url,
                "authorization_endpoint": f"{answers.url}/authorize",
                "token_endpoint": f"{answers.url}/token",
                "jwks_uri": f"{answers.url}/keys",
                "userinfo_endpoint": f"{answers.url}/user",
                "scopes_supported": ["openid", "groups"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
            },
            "/keys": {"keys": [KEY.as_dict(private=False)]},
        }
        yield answers


def provider_at(web: Answers) -> Provider:
    return Provider(web.url, "jobyard", "the secret of a client", "groups")


def claims(web: Answers, begun: Begun, **changes: Any) -> dict[str, Any]:
    at = int(NOW.timestamp())
    told = {
        "iss": web.url,
        "sub": "4711",
        "aud": "jobyard",
        "iat": at,
        "exp": at + 300,
        "nonce": begun.nonce,
        "preferred_username": "ada",
        "groups": ["admin"],
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


def finish(web: Answers, *, key: Any = KEY, alg: str = "RS256", **changes: Any) -> Identity:
    """Sign in with a token that has these claims, signed so."""
    provider = provider_at(web)
    begun = provider.begin(CALLBACK, NOW)
    token = jwt.encode({"alg": alg, "kid": "one"}, claims(web, begun, **changes), key, algorithms=[alg])
    web.paths["/token"] = {"access_token": "x", "token_type": "Bearer", "id_token": token}
    return provider.finish("a code", begun, NOW)


def refused(web: Answers, kind: type[JobyardError], **how: Any) -> str:
    with pytest.raises(kind) as said:
        finish(web, **how)
    return str(said.value)


def test_a_good_token_is_taken_and_the_scope_of_the_claim_asked_for(web: Answers) -> None:
    identity = finish(web)
    assert (identity.issuer, identity.subject, identity.name) == (web.url, "4711", "ada")
    begun = provider_at(web).begin(CALLBACK, NOW)
    assert "scope=openid+profile+email+groups" in begun.address
    assert "code_challenge_method=S256" in begun.address
    assert begun.verifier not in begun.address
    assert not any(secret in repr(begun) for secret in (begun.verifier, begun.nonce, begun.state))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"aud": "another"},
            "The identity provider's answer is for another application: see JOBYARD_OIDC_CLIENT_ID.",
        ),
        ({"aud": "another", "azp": "jobyard"}, "The identity provider's answer is for another application"),
        ({"aud": None}, UNVERIFIED),
        ({"iss": "https://evil.example"}, UNVERIFIED),
        ({"iss": None}, UNVERIFIED),
        ({"nonce": "another"}, UNVERIFIED),
        ({"nonce": None}, UNVERIFIED),
        ({"exp": None}, UNVERIFIED),
        ({"sub": None}, UNVERIFIED),
        ({"sub": ""}, "The identity provider sent no subject that names somebody."),
        ({"sub": "x" * 256}, "The identity provider sent no subject that names somebody."),
        ({"sub": 4711}, "The identity provider"),
        ({"exp": int(NOW.timestamp()) - 121}, "differ by over 2 min"),
        ({"iat": int(NOW.timestamp()) + 121}, "differ by over 2 min"),
        ({"key": ANOTHER_KEY}, UNVERIFIED),
        (
            {"key": OctKey.import_key("the secret of a client"), "alg": "HS256"},
            "The identity provider's answer can't be",
        ),
    ],
)
def test_a_token_that_proves_nothing_is_refused(web: Answers, changes: Any, sentence: str) -> None:
    assert sentence in refused(web, JobyardError, **changes)


def test_a_token_without_a_signature_is_refused(web: Answers) -> None:
    provider = provider_at(web)
    begun = provider.begin(CALLBACK, NOW)
    signed = jwt.encode({"alg": "RS256"}, claims(web, begun), KEY)
    unsigned = "eyJhbGciOiJub25lIn0." + signed.split(".")[1] + "."
    for token in (unsigned, signed[:-8], "x.y.z", ""):
        web.paths["/token"] = {"access_token": "x", "token_type": "Bearer", "id_token": token}
        with pytest.raises((NotProven, ProviderUnavailable)):
            provider.finish("a code", begun, NOW)


def test_keys_are_fetched_once_more_where_a_signature_is_by_none(web: Answers) -> None:
    provider = provider_at(web)
    for key in (KEY, ANOTHER_KEY):
        web.paths["/keys"] = {"keys": [key.as_dict(private=False)]}
        begun = provider.begin(CALLBACK, NOW)
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims(web, begun), key)
        web.paths["/token"] = {"access_token": "x", "token_type": "Bearer", "id_token": token}
        assert provider.finish("a code", begun, NOW).subject == "4711"
    assert web.asked.count("/keys") == 2


def test_what_the_token_lacks_is_asked_for_and_must_be_of_the_same_user(web: Answers) -> None:
    web.paths["/user"] = {
        "sub": "4711",
        "groups": ["viewer"],
        "email": "a@b.example",
        "email_verified": False,
    }
    identity = finish(web, groups=None)
    assert [each.role for each in identity.roles] == ["viewer"]
    assert identity.email is None  # nobody has verified it
    web.paths["/user"] = {"sub": "another", "groups": ["admin"]}
    said = refused(web, NotProven, groups=None)
    assert said == "The identity provider's answers are about two users: begin again."


def test_a_provider_that_sends_no_token_is_told_of(web: Answers) -> None:
    provider = provider_at(web)
    begun = provider.begin(CALLBACK, NOW)
    web.paths["/token"] = {"access_token": "x", "token_type": "Bearer"}
    with pytest.raises(NotProven) as said:
        provider.finish("a code", begun, NOW)
    assert str(said.value) == (
        "The identity provider sent no ID token: is this server registered for OpenID Connect?"
    )


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        (DISCOVERY, (503, "down"), "The identity provider answered with status 503: try again later."),
        (DISCOVERY, (200, "<html>"), UNREADABLE),
        (DISCOVERY, (200, "[]"), UNREADABLE),
        (DISCOVERY, (200, '"x"'), UNREADABLE),
        (DISCOVERY, {"issuer": None}, "by another address than JOBYARD_OIDC_ISSUER"),
        (
            DISCOVERY,
            {"issuer": "https://evil.example"},
            "The identity provider calls itself by another address than JOBYARD_OIDC_ISSUER: set it to just that.",
        ),
        ("/token", (500, "x"), "The identity provider answered with status 500: try again later."),
        ("/token", (200, "x"), UNREADABLE),
        ("/token", (200, "[]"), UNREADABLE),
        ("/token", (200, "{}"), "The identity provider sent no ID token"),
        ("/keys", (200, "x"), UNREADABLE),
        ("/keys", (404, ""), "The identity provider answered with status 404: try again later."),
        ("/keys", {"keys": []}, "The identity provider's answer can't be"),
        ("/keys", {"keys": "x"}, "The identity provider's answer can't be"),
        ("/user", (200, "x"), UNREADABLE),
    ],
)
def test_garbage_is_a_sentence(web: Answers, path: str, answer: Any, sentence: str) -> None:
    provider = provider_at(web)
    begun = provider.begin(CALLBACK, NOW)
    token = jwt.encode({"alg": "RS256", "kid": "one"}, claims(web, begun, groups=None), KEY)
    web.paths |= {"/token": {"access_token": "x", "token_type": "Bearer", "id_token": token}}
    web.paths |= {path: answer}
    asked_anew = provider_at(web)
    with pytest.raises(JobyardError) as said:
        asked_anew.finish("a code", begun, NOW)
    assert sentence in str(said.value)


def test_few_wait_for_the_provider_at_a_time(web: Answers) -> None:
    provider = provider_at(web)
    for _ in range(AT_ONCE):
        assert provider._places.acquire(blocking=False)
    with pytest.raises(Busy) as said:
        provider.begin(CALLBACK, NOW)
    assert str(said.value) == "Too many are signing in at once: try again in a moment."


def test_what_is_known_of_the_provider_is_asked_anew_after_an_hour(web: Answers) -> None:
    provider = provider_at(web)
    for minutes in (0, 59, 61):
        provider.begin(CALLBACK, NOW.replace(hour=12 + minutes // 60, minute=minutes % 60))
    assert web.asked == [DISCOVERY, DISCOVERY]
