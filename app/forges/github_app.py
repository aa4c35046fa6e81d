"""What a GitHub App asks GitHub for: https://docs.github.com/apps (JWT, installations, manifest) and .../rest/apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from app.domain.errors import GitUnavailable
from app.domain.events import one_line
from app.domain.github_apps import (
    AppKey,
    AppRefused,
    AppToken,
    Call,
    Converted,
    Installed,
    Registered,
    Repository,
)
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.answers import is_limit, said_in
from app.forges.api import Access, body_of
from app.forges.github_api import request

JWT_BEGINS, JWT_LASTS = (
    timedelta(seconds=-60),
    timedelta(minutes=9),
)  # GitHub takes ten minutes, and clocks differ
CLOCK_TOLERANCE = timedelta(seconds=30)
PAGE = 100
LIST_BYTES = 2 * 1024 * 1024  # a hundred repositories have about 700 KiB
_VERBATIM = frozenset({"pem", "webhook_secret", "token", "clone_url"})


def jwt_of(key: AppKey, now: datetime) -> str:
    """Return what proves to be the App for some minutes. Raises AppRefused for a key that signs nothing."""
    from joserfc import jwt  # with what it imports, when there first is an App
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    claims = {
        "iat": int((now + JWT_BEGINS).timestamp()),
        "exp": int((now + JWT_LASTS).timestamp()),
        "iss": str(key.app_id),
    }
    try:
        return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(key.private_key), ["RS256"])
    except (JoseError, ValueError, TypeError):
        raise AppRefused(
            f"The private key of GitHub App {key.name} signs nothing: save it anew, as GitHub gave it."
        ) from None


def as_app(key: AppKey, now: datetime, method: str, path: str, body: object = None) -> HttpRequest:
    return request(method, Access(key.api_url, jwt_of(key, now)), path, body)


def registered(key: AppKey, now: datetime) -> HttpRequest:
    return as_app(key, now, "GET", "/app")


def installations(key: AppKey, now: datetime) -> HttpRequest:
    return as_app(key, now, "GET", f"/app/installations?per_page={PAGE}")


def last_calls(key: AppKey, now: datetime) -> HttpRequest:
    return as_app(key, now, "GET", "/app/hook/deliveries?per_page=1")


def installation_of(key: AppKey, now: datetime, repository: str) -> HttpRequest:
    return as_app(key, now, "GET", f"/repos/{quote(repository)}/installation")


def token_for(key: AppKey, now: datetime, installation: int, repository: str | None) -> HttpRequest:
    """Return the request for a token that opens one repository alone, or (None) all of the installation."""
    body = {} if repository is None else {"repositories": [repository.rpartition("/")[2]]}
    return as_app(key, now, "POST", f"/app/installations/{installation}/access_tokens", body)


def repositories(api_url: str, token: str, page: int) -> HttpRequest:
    path = f"/installation/repositories?per_page={PAGE}&page={page}"
    return replace(request("GET", Access(api_url, token), path), reads=LIST_BYTES)


def conversion(api_url: str, code: str) -> HttpRequest:
    """Return the request that turns the code of an accepted manifest into an App, which works once."""
    asked = request("POST", Access(api_url, ""), f"/app-manifests/{quote(code, safe='')}/conversions")
    headers = {name: value for name, value in asked.headers.items() if name != "Authorization"}
    return replace(asked, headers=headers)  # an empty token is a wrong one


def read_registered(answer: HttpAnswer, key: AppKey, now: datetime) -> Registered:
    body = _object(answer, key, now)
    return Registered(
        _number(body, "id"), _text(body, "slug"), _text(body, "html_url"), _texts(body), _events(body)
    )


def read_installations(answer: HttpAnswer, key: AppKey, now: datetime) -> list[Installed]:
    body = _taken(answer, key, now)
    found = [each for each in (body if isinstance(body, list) else []) if isinstance(each, Mapping)]
    return [_installed(each) for each in found]


def read_last_call(answer: HttpAnswer, key: AppKey, now: datetime) -> Call | None:
    """Return the last call of the webhook; None where there was none."""
    body = _taken(answer, key, now)
    found = [each for each in (body if isinstance(body, list) else []) if isinstance(each, Mapping)]
    return Call(_text(found[0], "event"), _number(found[0], "status_code")) if found else None


def read_installation(answer: HttpAnswer, key: AppKey, repository: str, now: datetime) -> Installed:
    """Raises AppRefused where the App is not installed on the repository, or its installation is suspended."""
    if answer.status == 404 and "Integration not found" not in said_in(answer):
        raise AppRefused(_not_installed(key, repository))
    found = _installed(_object(answer, key, now))
    if found.is_suspended:
        raise AppRefused(_suspended(key, found.account))
    return found


def read_token(
    answer: HttpAnswer, key: AppKey, installed: Installed, repository: str, now: datetime
) -> AppToken:
    if answer.status == 422 and repository:
        raise AppRefused(_not_installed(key, repository))
    if answer.status == 403 and "suspended" in said_in(answer).lower():
        raise AppRefused(_suspended(key, installed.account))
    body = _object(answer, key, now)
    try:
        ends = datetime.fromisoformat(_text(body, "expires_at")).astimezone(UTC)
    except ValueError:
        ends = now + timedelta(hours=1)  # as long as GitHub says that they last
    if not _text(body, "token"):
        raise AppRefused(_not_github(key.name))
    return AppToken(_text(body, "token"), ends)


def read_repositories(answer: HttpAnswer, key: AppKey, now: datetime) -> list[Repository]:
    listed = _object(answer, key, now).get("repositories")
    found = [each for each in (listed if isinstance(listed, list) else []) if isinstance(each, Mapping)]
    return [
        Repository(_text(each, "full_name"), _text(each, "clone_url"), each.get("private") is True)
        for each in found
        if _text(each, "full_name") and _text(each, "clone_url")
    ]


def read_conversion(answer: HttpAnswer) -> Converted:
    body = body_of(answer)
    if answer.status == 404:
        raise AppRefused(
            "GitHub does not know this code any more: it works once, and for an hour. Make the App again."
        )
    if not 200 <= answer.status < 300 or not isinstance(body, Mapping):
        raise AppRefused(f"GitHub did not make the App (status {answer.status}).{said_in(answer)}")
    found = Converted(
        _number(body, "id"), _text(body, "slug"), _text(body, "pem"), _text(body, "webhook_secret")
    )
    if not (found.app_id and found.private_key):
        raise AppRefused(_not_github("the new App"))
    return found


def repository_in(url: str) -> str:
    """Return `acme/report` of https://github.com/acme/report.git."""
    return urlsplit(url).path.strip("/").removesuffix(".git")


def _object(answer: HttpAnswer, key: AppKey, now: datetime) -> Mapping[str, object]:
    body = _taken(answer, key, now)
    if not isinstance(body, Mapping):
        raise AppRefused(_not_github(key.name))
    return body


def _taken(answer: HttpAnswer, key: AppKey, now: datetime) -> object:
    """Return the body of an answer that is good. Raises AppRefused, or GitUnavailable for what may be good later."""
    status, said = answer.status, said_in(answer)
    if 200 <= status < 300:
        body = body_of(answer)
        if body is None:
            raise AppRefused(_not_github(key.name))
        return body
    if status == 429 or (status == 403 and is_limit(answer)):
        raise GitUnavailable(f"GitHub asks GitHub App {key.name} to wait: a rate limit is reached.")
    if status >= 500 or status in (408, 425):
        raise GitUnavailable(f"GitHub answered GitHub App {key.name} with status {status}.")
    raise AppRefused(_refusal(answer, key, said, now))


def _refusal(answer: HttpAnswer, key: AppKey, said: str, now: datetime) -> str:
    if answer.status == 401:
        off = _clock_off(answer, now)
        if abs(off) > CLOCK_TOLERANCE:
            way = "ahead of" if off > timedelta() else "behind"
            return (
                f"GitHub refuses the signature of GitHub App {key.name} (401), as this server's clock is"
                f" {abs(off).total_seconds():.0f} s {way} GitHub's: set it, by NTP for instance."
            )
        return (
            f"GitHub does not know the private key of GitHub App {key.name} (401): it was revoked, or is"
            " another App's. Make a new key at GitHub, and save it here."
        )
    if answer.status == 404:
        return (
            f"GitHub has no App {key.app_id} (404): it was deleted, or the App id of {key.name} is another's."
            " Make it again."
        )
    return f"GitHub refused GitHub App {key.name} with status {answer.status}.{said}"


def _clock_off(answer: HttpAnswer, now: datetime) -> timedelta:
    """Return by how much our clock is ahead of GitHub's, as far as the answer tells."""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError):
        return timedelta()
    return now - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))


def _not_installed(key: AppKey, repository: str) -> str:
    return (
        f"GitHub App {key.name} is not installed on {repository}: install it there, or add the repository to its"
        " installation at GitHub."
    )


def _suspended(key: AppKey, account: str) -> str:
    return f"The installation of GitHub App {key.name} on {account} is suspended: unsuspend it at GitHub."


def _not_github(name: str) -> str:
    return f"What answered GitHub App {name} is not GitHub's API: look at its api_url."


def _installed(body: Mapping[str, object]) -> Installed:
    account = body.get("account")
    login = _text(account, "login") if isinstance(account, Mapping) else ""
    return Installed(
        _number(body, "id"), login, _text(body, "html_url"), body.get("suspended_at") not in (None, "")
    )


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) and name in _VERBATIM else one_line(str(value or ""))


def _number(body: Mapping[str, object], name: str) -> int:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _texts(body: Mapping[str, object]) -> Mapping[str, str]:
    given = body.get("permissions")
    return {str(name): str(level) for name, level in given.items()} if isinstance(given, Mapping) else {}


def _events(body: Mapping[str, object]) -> Sequence[str]:
    given = body.get("events")
    return [str(each) for each in given] if isinstance(given, list) else []
