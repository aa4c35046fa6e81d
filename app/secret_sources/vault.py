"""HashiCorp Vault and what speaks its protocol, such as OpenBao: the secrets of its KV engines, version 1 and 2.

One request reads what is at a path; no address, token or answer is in an error. No redirect is followed, as the token
would go with it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2

from app.domain.documents import Json
from app.domain.external_secrets import SecretRefused, SecretUnavailable, is_vault_path

ANSWER_SECONDS: Final = 5.0
TURN_SECONDS: Final = 1.0
AT_ONCE: Final = 2  # questions; more would keep runs that need nothing of Vault from their places
REST_SECONDS: Final = 10.0  # after it gave no answer: whoever comes meanwhile is told so at once
MOST_BYTES: Final = 2**20
_OK, _REFUSED, _GONE, _TOO_MANY = 200, (400, 405), 404, 429
_DENIED = (401, 403)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log each address


@dataclass(frozen=True)
class VaultLogin:
    """How the server proves who it is: a token, a file that holds one, or AppRole's two ids."""

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    role_id: str = ""
    secret_id: str = field(default="", repr=False)


class VaultServer:
    """One Vault; it may be asked from any thread."""

    def __init__(
        self,
        address: str,
        login: VaultLogin,
        namespace: str = "",
        *,
        seconds: float = ANSWER_SECONDS,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds` is how long each part of an answer may take; `ticks` a clock that nobody sets."""
        self._address = address.rstrip("/")
        self._login = login
        self._namespace = namespace
        self._seconds = seconds
        self._ticks = ticks
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._role_token = ""
        self._unanswered: tuple[float, str] | None = None

    def __repr__(self) -> str:
        return f"<VaultServer {self._address}>"

    def read(self, path: str) -> Json:
        """The entries of the secret at a path. Raises SecretRefused, SecretUnavailable with the rest of a sentence."""
        if not is_vault_path(path):
            raise SecretRefused("it is no path of Vault's API.")
        with self._asking() as client:
            answer = self._as_ourselves(client, path)
        if answer.status == _GONE:
            raise SecretRefused("Vault has nothing there; write it, or name another path.")
        if answer.status in _REFUSED:
            raise SecretRefused(f"Vault can't read there ({answer.status}); name the path of a KV secret.")
        data = answer.body.get("data")
        if isinstance(data, dict) and _is_of_version_2(data):
            data = data["data"]
        if not isinstance(data, dict):
            raise SecretRefused("Vault has nothing there; write it, or name another path.")
        return data

    def check(self) -> None:
        """See that it answers and takes the login. Raises as `read` does."""
        with self._asking() as client:
            self._as_ourselves(client, "auth/token/lookup-self")

    @contextmanager
    def _asking(self) -> Iterator[httpx2.Client]:
        """A connection, in turn with others. What gives no answer is left alone for a while."""
        if self._unanswered is not None and self._ticks() < self._unanswered[0]:
            raise SecretUnavailable(self._unanswered[1])
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise SecretUnavailable("Vault is still being asked for others.")
        try:
            with httpx2.Client(timeout=self._seconds, follow_redirects=False) as client:
                yield client
            self._unanswered = None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            is_late = isinstance(error, httpx2.TimeoutException)
            said = f"did not answer in {self._seconds:g} s" if is_late else "can't be reached"
            self._unanswered = self._ticks() + REST_SECONDS, f"Vault {said}."
            raise SecretUnavailable(f"Vault {said}.") from None
        finally:
            self._turns.release()

    def _as_ourselves(self, client: httpx2.Client, path: str) -> _Answer:
        """What it answers to us. A token of AppRole that has run out is replaced by another."""
        token = self._token(client)
        answer = self._ask(client, "GET", path, token)
        if answer.status in _DENIED and self._login.role_id:
            self._role_token = ""
            answer = self._ask(client, "GET", path, self._token(client))
        if answer.status in _DENIED:
            can = "let a policy of the server's token read that path, or renew the token"
            raise SecretRefused(f"Vault denies it ({answer.status}); {can}.")
        return answer

    def _token(self, client: httpx2.Client) -> str:
        login = self._login
        if login.role_id:
            self._role_token = self._role_token or self._log_in(client)
            return self._role_token
        if login.token_file is None:
            return login.token
        try:
            token = login.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not (token.isascii() and token.isprintable() and token):
            raise SecretUnavailable("JOBYARD_VAULT_TOKEN_FILE holds no token that can be read.")
        return token

    def _log_in(self, client: httpx2.Client) -> str:
        body = {"role_id": self._login.role_id, "secret_id": self._login.secret_id}
        answer = self._ask(client, "POST", "auth/approle/login", "", body)
        auth = answer.body.get("auth")
        if answer.status != _OK or not isinstance(auth, dict) or not auth.get("client_token"):
            raise SecretRefused(
                f"Vault refuses the server's AppRole ({answer.status}); look at JOBYARD_VAULT_ROLE_ID and _SECRET_ID."
            )
        return str(auth["client_token"])

    def _ask(
        self, client: httpx2.Client, method: str, path: str, token: str, body: Json | None = None
    ) -> _Answer:
        headers = {"X-Vault-Request": "true"}
        headers |= {"X-Vault-Token": token} if token else {}
        headers |= {"X-Vault-Namespace": self._namespace} if self._namespace else {}
        url = f"{self._address}/v1/{quote(path)}"
        with client.stream(method, url, headers=headers, json=body) as answer:
            said = _body(answer)
        if answer.status_code == _TOO_MANY or not 200 <= answer.status_code < 500 or answer.is_redirect:
            is_sealed = "sealed" in str(said.get("errors", "")).lower()
            raise SecretUnavailable(
                "Vault is sealed."
                if is_sealed
                else f"Vault answers with status {answer.status_code} instead of the secret."
            )
        return _Answer(answer.status_code, said)


@dataclass(frozen=True)
class _Answer:
    status: int
    body: Json = field(repr=False)


def _body(answer: httpx2.Response) -> Json:
    data = bytearray()
    for part in answer.iter_bytes():
        data += part
        if len(data) > MOST_BYTES:
            raise SecretRefused(f"Vault's answer has more than {MOST_BYTES:,} bytes; name a smaller secret.")
    try:
        body: Any = json.loads(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if answer.status_code == _OK:
            raise SecretUnavailable("what answers at JOBYARD_VAULT_ADDR is no Vault.")
        return {}
    return body


def _is_of_version_2(data: Json) -> bool:
    """Whether this is what KV version 2 has: the secret, and facts about it."""
    return set(data) == {"data", "metadata"} and isinstance(data["metadata"], dict)
