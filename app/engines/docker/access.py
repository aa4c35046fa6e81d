"""How an engine is reached: over its socket, over TCP with or without TLS, or over a socket that ssh brings here."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

from app.engines.docker.transport import UnixAdapter
from app.engines.docker.tunnel import Tunnel

DEFAULT_URL = "unix:///var/run/docker.sock"
_POOL = 64  # connections kept open
_FIRST_SECONDS = 5.0  # for the first answer, for which all other calls wait
_CERTIFICATES = "JOBYARD_DOCKER_CERT_PATH"


@dataclass(frozen=True)
class Access:
    """`url` is as people know it; `tunnel` brings the engine of an `ssh://` one here. `certificates` is a directory
    with `ca.pem`, `cert.pem` and `key.pem`, for an engine that is spoken to over TLS.
    """

    url: str = DEFAULT_URL
    certificates: Path | None = None
    tunnel: Tunnel | None = None

    @property
    def is_local(self) -> bool:
        return self.url.startswith("unix:")

    def connected(self, timeout_seconds: float) -> Any:
        """Return a client that speaks the engine's own version of the API. Raises what the SDK raises."""
        address = self.tunnel.address if self.tunnel else self.url
        connect: Any = APIClient
        client = connect(
            base_url=address,
            version=MINIMUM_DOCKER_API_VERSION,
            timeout=min(timeout_seconds, _FIRST_SECONDS),
            max_pool_size=_POOL,
            tls=self._tls(),
        )
        client.trust_env = (
            False  # proxies, .netrc and authorities, looked up anew for every call, are for other hosts
        )
        if address.startswith("unix:"):
            self._mount_socket(client, address, timeout_seconds)
        else:
            client.mount(client.base_url, HTTPAdapter(pool_maxsize=_POOL))
        client._version = client.version(api_version=False)["ApiVersion"]
        client.timeout = timeout_seconds
        return client

    def _mount_socket(self, client: Any, address: str, timeout_seconds: float) -> None:
        adapter: Any = UnixAdapter
        mounted = adapter(address.replace("unix:", "http+unix:"), timeout_seconds, 25, _POOL)
        mounted.prepare = self.tunnel.open if self.tunnel else None
        client.mount("http+docker://", mounted)

    def _tls(self) -> TLSConfig | bool:
        if self.certificates is None:
            return False
        ca, certificate, key = (str(self.certificates / f"{name}.pem") for name in ("ca", "cert", "key"))
        return TLSConfig(client_cert=(certificate, key), ca_cert=ca, verify=True)

    def no_answer(self, error: BaseException) -> str:
        """Return the sentence about a call that came to nothing."""
        why = (self.tunnel and self.tunnel.refused()) or _cause(error)
        found = next((each for each in _layers(error) if isinstance(each, ssl.SSLError)), None)
        if isinstance(found, ssl.SSLCertVerificationError):
            return (
                f"The certificate of the container engine at {self.url} is not valid: renew it there, or put who signs"
                f" it into ca.pem of {_CERTIFICATES} ({found.verify_message.rstrip('.')})."
            )
        if found is not None and "ALERT" in (found.reason or ""):
            return (
                f"The container engine at {self.url} refuses our certificate: put one that it trusts and that is valid"
                f" into cert.pem of {_CERTIFICATES} ({why})."
            )
        mend = (
            "start it, or set JOBYARD_ENGINE=process to do without one"
            if self.is_local
            else f"start it there, or correct JOBYARD_DOCKER_HOST{f' or {_CERTIFICATES}' if self.certificates else ''}"
        )
        return f"The container engine at {self.url} does not answer: {mend} ({why})."


def _cause(error: BaseException) -> str:
    """Return the innermost message of the system, as the layers above wrap one another's class names."""
    found = next((each for each in _layers(error) if isinstance(each, OSError) and each.strerror), None)
    if isinstance(found, ssl.SSLError) and found.reason:
        return found.reason.replace("_", " ").lower()
    return (found and found.strerror) or type(error).__name__


def _layers(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and those that it wraps."""
    layers, seen = [error], {id(error)}
    while layers:
        each = layers.pop()
        yield each
        inner = [each.__cause__, each.__context__, *each.args, getattr(each, "reason", None)]
        layers += [one for one in inner if isinstance(one, BaseException) and id(one) not in seen]
        seen |= {id(one) for one in layers}
