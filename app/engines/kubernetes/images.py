"""What a registry says of images: a cluster's nodes pull by digest, and have no images that we could ask about."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from app.domain.egress import Egress
from app.domain.errors import EngineUnavailable
from app.domain.hosts import PUBLIC_REGISTRY, host_and_port, registry_host
from app.domain.http import HttpAnswer, HttpRequest, NoAnswer, NotAllowed, NotAnAddress
from app.engines.base import ImageConfig, ImageUnavailable, RegistryLogin, ResolvedImage
from app.engines.kubernetes.manifests import ImageFacts
from app.outbound import send

ANSWER_SECONDS = 20.0
_LARGEST = 4 * 1024 * 1024
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPTED = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registries:
    """Asks registries, as far as `egress` lets it, with the log-in that was last given for one."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._logins: dict[str, RegistryLogin] = {}

    def resolve(self, reference: str, login: RegistryLogin | None) -> ResolvedImage:
        """Return what a reference means now. Raises ImageUnavailable, EngineUnavailable."""
        host, name, tag = _split(reference)
        if login is not None:
            self._logins[host] = login
        answer = self._get(reference, host, f"{name}/manifests/{tag}")
        digest = tag if ":" in tag else answer.headers.get("docker-content-digest", "")
        if not digest:
            raise EngineUnavailable(f"The registry {host} tells no digest of {reference}.")
        repository = reference.partition("@")[0] if "@" in reference else reference.removesuffix(f":{tag}")
        return ResolvedImage(f"{repository}@{digest}", digest)

    def config(self, image: str) -> ImageConfig:
        """Return what an image says of its process. Raises ImageUnavailable, EngineUnavailable."""
        told = self._config(image)
        pairs = (each.partition("=") for each in told.get("Env") or ())
        return {
            "entrypoint": list(told.get("Entrypoint") or ()),
            "command": list(told.get("Cmd") or ()),
            "env": {name: value for name, _, value in pairs},
        }

    def facts(self, image: str) -> ImageFacts:
        told = self._config(image)
        return ImageFacts(str(told.get("User") or ""), tuple(told.get("Volumes") or ()))

    def _config(self, image: str) -> Mapping[str, Any]:
        host, name, tag = _split(image)
        manifest = _object(host, self._get(image, host, f"{name}/manifests/{tag}"))
        if "manifests" in manifest:
            chosen = next(filter(_is_linux, manifest["manifests"]), None)
            if chosen is None:
                raise ImageUnavailable(f"{image} is not for Linux.", is_missing=False)
            manifest = _object(host, self._get(image, host, f"{name}/manifests/{chosen['digest']}"))
        blob = self._get(image, host, f"{name}/blobs/{manifest['config']['digest']}")
        told: Mapping[str, Any] = _object(host, blob).get("config") or {}
        return told

    def _get(self, image: str, host: str, path: str) -> HttpAnswer:
        url = f"{_origin(host)}/v2/{path}"
        answer = self._send(host, url, {})
        if answer.status == 401 and (allowed := self._authorization(host, answer)):
            answer = self._send(host, url, {"Authorization": allowed})
        if answer.status in (301, 302, 307, 308):  # blobs are often elsewhere, where the log-in must not go
            answer = self._send(host, answer.headers["location"], {})
        if answer.status == 404:
            raise ImageUnavailable(f"The registry has no image {image}.")
        if answer.status in (401, 403):
            raise ImageUnavailable(
                f"The registry gives no access to {image}: check its name and the registry credential.",
                is_missing=False,
            )
        if answer.status != 200:
            raise EngineUnavailable(f"The registry {host} answered with status {answer.status}.")
        return answer

    def _authorization(self, host: str, answer: HttpAnswer) -> str:
        kind, _, rest = answer.headers.get("www-authenticate", "").partition(" ")
        basic = _basic(self._logins.get(host))
        if kind.lower() != "bearer":
            return basic
        asked = dict(_CHALLENGE.findall(rest))
        query = "&".join(f"{name}={asked[name]}" for name in ("service", "scope") if name in asked)
        given = self._send(
            host, f"{asked.get('realm', '')}?{query}", {"Authorization": basic} if basic else {}
        )
        if given.status != 200:
            return ""
        token = _object(host, given)
        return f"Bearer {token.get('token') or token.get('access_token') or ''}"

    def _send(self, host: str, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        request = HttpRequest("GET", url, {**_ACCEPTED, **headers}, reads=_LARGEST)
        try:
            return send(self._egress, request, ANSWER_SECONDS)
        except NoAnswer as error:
            raise EngineUnavailable(f"The registry {host} {error}.") from error
        except (NotAllowed, NotAnAddress) as error:
            raise ImageUnavailable(f"The registry {host} {error}.", is_missing=False) from error


def _split(reference: str) -> tuple[str, str, str]:
    """Return the host, the name there, and the tag or digest. Raises ImageUnavailable for what has no registry."""
    if reference.startswith("sha256:") or not reference:
        raise ImageUnavailable(
            "A cluster has no images of its own: set JOBYARD_REGISTRY, and give images as name@sha256:… of a registry."
        )
    host = registry_host(reference)
    rest = reference.removeprefix(f"{host}/") if reference.startswith(f"{host}/") else reference
    if host == PUBLIC_REGISTRY and "/" not in rest:
        rest = f"library/{rest}"
    name, at, digest = rest.partition("@")
    bare, colon, tag = name.rpartition(":")
    name, tag = (bare, tag) if colon and "/" not in tag else (name, "latest")
    return host, name, digest if at else tag


def _origin(host: str) -> str:
    """Return the address of a registry: without TLS only on this machine, as engines do."""
    if host == PUBLIC_REGISTRY:
        return "https://registry-1.docker.io"
    name, _ = host_and_port(host)
    is_here = name in ("localhost", "::1") or name.startswith("127.")
    return f"{'http' if is_here else 'https'}://{host}"


def _basic(login: RegistryLogin | None) -> str:
    if login is None:
        return ""
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _object(host: str, answer: HttpAnswer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise EngineUnavailable(f"The registry {host} answers, but not as a registry does.")
    return told


def _is_linux(entry: Mapping[str, Any]) -> bool:
    platform = entry.get("platform") or {}
    return bool(platform.get("os") == "linux" and platform.get("architecture") == "amd64")
