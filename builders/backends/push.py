"""Images to a registry, through the container CLI with fixed argv and an environment of its own."""

import re
from collections.abc import Callable
from pathlib import Path

from builders.backends.base import BuiltImage, ImagePusher, Login, PushFailed, StopSignal
from builders.backends.cli import SEARCH_PATH, find_cli
from builders.backends.docker_host import DockerHost
from builders.backends.failures import not_pushed
from builders.backends.logins import registry_of, write_logins
from builders.backends.process import run_watched
from builders.backends.watch import watching
from builders.private import private_directory

_DIGEST = re.compile(rb"digest: (sha256:[0-9a-f]{64}) size: ")
_TAIL_BYTES = 4096


class RegistryPush(ImagePusher):
    """Pushes images by the CLI. `docker_host` is the engine's address; None is the CLI's default,
    `certificates` a directory as `DOCKER_CERT_PATH` names one.

    Logins are in a file only while a push runs.
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
        program = find_cli().argv[0]
        tail = bytearray()

        def pass_on(chunk: bytes) -> None:
            on_output(chunk)
            tail.extend(chunk)
            del tail[:-_TAIL_BYTES]

        with private_directory() as private, watching(self._docker_host) as engine:
            write_logins(private, {registry_of(reference): login} if login else {})
            for argv in (("tag", image.digest, reference), ("push", reference)):
                status = run_watched(
                    (program, *argv),
                    environment=self._environment(private),
                    directory=private,
                    on_output=pass_on,
                    should_stop=should_stop,
                    time_limit_seconds=time_limit_seconds,
                )
                if status != 0:
                    said = _last_line(tail)
                    away = not_pushed(reference, said, engine_went_away=engine.went_away())
                    raise away or PushFailed(f"The image could not be pushed to {reference}: {said}.")
        digest = _DIGEST.search(bytes(tail))
        if digest is None:
            raise PushFailed(f"The registry gave no digest for {reference}.")
        return digest[1].decode()

    def _environment(self, private: Path) -> dict[str, str]:
        own = {"PATH": SEARCH_PATH, "HOME": str(private), "DOCKER_CONFIG": str(private)}
        return {**own, **self._docker_host.environment}


def _last_line(tail: bytearray) -> str:
    lines = [line.strip() for line in tail.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "the container CLI said nothing"
