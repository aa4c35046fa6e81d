"""Removes manifests from a registry by the distribution API, with its logins and tokens.

What is told of is only whether it went: a registry that removes nothing (many don't, or not for everybody) is no fault.
"""

from __future__ import annotations

import enum
import logging
import re
from ipaddress import ip_address

import httpx2

from app.domain.errors import TransientError
from app.domain.hosts import host_and_port

TIME_LIMIT_SECONDS = 20.0
Login = tuple[str, str]  # user name and password
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_REFUSALS = {400, 401, 403, 405, 415}
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log each address


class Removal(enum.Enum):
    GONE = "gone"
    REFUSED = "refused"  # the registry removes nothing, or not for this login


class RegistryUnavailable(TransientError):
    """The registry does not answer, or not as one does."""


def remove_manifest(image: str, login: Login | None) -> Removal:
    """Remove an image `host/name@digest`; one that is gone already is gone. Raises RegistryUnavailable."""
    host, _, path = image.partition("/")
    name, _, digest = path.partition("@")
    scheme = "http" if _is_this_machine(host) else "https"  # as engines do
    url = f"{scheme}://{host}/v2/{name}/manifests/{digest}"
    try:
        with httpx2.Client(timeout=TIME_LIMIT_SECONDS) as client:
            status = _delete(client, url, login)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise RegistryUnavailable(f"The registry {host} gives no answer ({type(error).__name__}).") from None
    if status in _REFUSALS:
        return Removal.REFUSED
    if status != 404 and not 200 <= status < 300:
        raise RegistryUnavailable(f"The registry {host} answered with status {status}.")
    return Removal.GONE


def _delete(client: httpx2.Client, url: str, login: Login | None) -> int:
    answer = client.delete(url)
    if answer.status_code != 401:
        return answer.status_code
    kind, _, parameters = answer.headers.get("WWW-Authenticate", "").partition(" ")
    if kind.lower() == "basic" and login is not None:
        return client.delete(url, auth=login).status_code
    if kind.lower() != "bearer":
        return answer.status_code
    asked = dict(_CHALLENGE.findall(parameters))
    realm = asked.pop("realm", "")
    if not realm.startswith("https://") and not _is_this_machine(httpx2.URL(realm).netloc.decode()):
        return answer.status_code
    given = client.get(
        realm, params={key: asked[key] for key in ("service", "scope") if key in asked}, auth=login
    )
    if given.status_code != 200:
        return 401
    token = given.json().get("token") or given.json().get("access_token") or ""
    return client.delete(url, headers={"Authorization": f"Bearer {token}"}).status_code


def _is_this_machine(host: str) -> bool:
    name, _ = host_and_port(host)
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
