"""Images to a registry, by the engine's own API: no container CLI is needed for it."""

import base64
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from builders.backends.base import (
    BackendUnavailable,
    BuildCancelled,
    BuildTimedOut,
    BuiltImage,
    ImagePusher,
    Login,
    PushFailed,
    StopSignal,
)
from builders.backends.docker_host import DockerHost
from builders.backends.failures import NO_ANSWER, not_pushed
from builders.backends.logins import address_of, registry_of
from builders.backends.session import Session
from builders.backends.watch import watching

LOOK_SECONDS = 0.05  # how late a push notices that it has to end
Message = Mapping[str, Any]  # of the engine


class RegistryPush(ImagePusher):
    """`docker_host` is the engine's address, a Unix socket or over TCP; None is the default, `certificates` a directory
    as `DOCKER_CERT_PATH` names one.

    A login is in the one request that needs it, and nowhere else.
    """

    def __init__(self, docker_host: str | None = None, certificates: Path | None = None) -> None:
        self._docker_host = DockerHost(docker_host, certificates)

    def push(
        self,
        image: BuiltImage,
        reference: str,
        login: Login | None,
        *,
        on_output: Callable[[bytes], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> str:
        session = Session(on_output, lambda _: None, should_stop, time_limit_seconds)
        name, _, tag = reference.rpartition(":")
        told = _Told(session.say)
        with watching(self._docker_host) as engine:
            try:
                tagging = f"/images/{quote(image.digest)}/tag?{urlencode({'repo': name, 'tag': tag})}"
                self._ask(session, tagging, {}, told.take)
                header = {"X-Registry-Auth": _header(reference, login)}
                self._ask(session, f"/images/{name}/push?{urlencode({'tag': tag})}", header, told.take)
            except _Refused as error:
                said = str(error).rstrip(".")
                away = not_pushed(reference, said, engine_went_away=engine.went_away())
                raise away or PushFailed(f"The image could not be pushed to {reference}: {said}.") from None
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise BackendUnavailable(NO_ANSWER) from error
        if not told.digest:
            raise PushFailed(f"The registry gave no digest for {reference}.")
        return told.digest

    def _ask(
        self, session: Session, path: str, headers: Mapping[str, str], take: Callable[[Message], None]
    ) -> None:
        """Give each message of the answer to `take`. Raises _Refused, and what `Session.check` raises."""
        session.check()
        with contextlib.closing(self._docker_host.connection(None)) as connection:
            connection.connect()
            with _ended_with(session, connection.sock):
                try:
                    connection.request("POST", path, headers=headers)
                    answer = connection.getresponse()
                    if answer.status >= http.HTTPStatus.BAD_REQUEST:
                        raise _Refused(json.loads(answer.read())["message"])
                    for line in filter(bytes.strip, answer):
                        take(json.loads(line))
                finally:
                    session.check()  # what ended the connection is the reason for all that came of it


class _Refused(Exception):
    """`str()` is what the engine says."""


class _Told:
    """What the engine tells of a push: a message a line, of which those about progress are left out."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.digest = ""

    def take(self, message: Message) -> None:
        """Raises _Refused for what went wrong."""
        if "error" in message:
            self._say(message["error"])
            raise _Refused(message["error"])
        self.digest = (message.get("aux") or {}).get("Digest", self.digest)
        if message.get("status") and not message.get("progressDetail"):
            self._say(": ".join(filter(None, (message.get("id"), message["status"]))))


@contextmanager
def _ended_with(session: Session, connection: socket.socket) -> Iterator[None]:
    """End the connection when the push has to end, so that whoever reads from it goes on."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_SECONDS):
            try:
                session.check()
            except (BuildCancelled, BuildTimedOut):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, name="push-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def _header(reference: str, login: Login | None) -> str:
    """Return what the engine takes a login by; without one it has to be there as well."""
    value = {}
    if login is not None:
        server = address_of(registry_of(reference))
        value = {"username": login.username, "password": login.password, "serveraddress": server}
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
