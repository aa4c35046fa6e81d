"""Images by BuildKit, through the container CLI with fixed argv and an environment of its own."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from builders.backends.base import (
    CACHE_SCOPE,
    SCOPING,
    BackendUnavailable,
    BuildFailed,
    BuildRequest,
    BuildTimedOut,
    BuiltImage,
    ImageBackend,
    Step,
    StopSignal,
)
from builders.backends.cli import SEARCH_PATH, Cli, find_cli
from builders.backends.docker_host import DockerHost
from builders.backends.failures import WENT_AWAY, explain_failure
from builders.backends.logins import write_logins
from builders.backends.progress import ProgressReader
from builders.backends.registry_access import access_of
from builders.backends.session import Session
from builders.backends.step_limits import StepLimits, limited
from builders.backends.turns import Turns
from builders.backends.watch import watching
from builders.private import private_directory

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BuildKitCli(ImageBackend):
    """`docker_host`: the engine's address, such as `unix:///var/run/docker.sock`; None is the CLI's default.
    `certificates`: a directory as `DOCKER_CERT_PATH` names one, for an engine that is spoken to over TLS.
    `limits` are those of each step, as far as they can be set (see `step_limits`).

    Logins are in a file only while a build runs; BuildKit asks the CLI for them, and no step can. Of builds through
    one BuildKitCli none gets an image by another's login; those that could are made to wait (see `turns`, also for
    what that doesn't cover).
    """

    def __init__(
        self,
        docker_host: str | None = None,
        *,
        certificates: Path | None = None,
        cli: Cli | None = None,
        limits: StepLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docker_host = DockerHost(docker_host, certificates)
        self._cli = cli
        self._limits = limits
        self._clock = clock
        self._turns = Turns()

    def build(
        self,
        request: BuildRequest,
        *,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> BuiltImage:
        cli = self._cli or find_cli()
        session = Session(on_output, on_step, should_stop, time_limit_seconds, self._clock)
        progress = ProgressReader(on_step, session.elapsed)

        def pass_on(chunk: bytes) -> None:
            on_output(chunk)
            progress.feed(chunk)

        with private_directory() as private, watching(self._docker_host) as engine:
            argv = build_argv(cli, request, private, _write_inputs(request, private))
            try:
                with self._turns.turn(access_of(request), session.say, session.check), limited(self._limits):
                    status = session.run(argv, self._environment(private), private, pass_on)
            except BuildTimedOut:
                if engine.went_away():
                    raise BackendUnavailable(WENT_AWAY) from None
                raise
            progress.close()
            if status != 0:
                raise explain_failure(progress, status, self._limits, engine_went_away=engine.went_away())
            return BuiltImage((private / "iid").read_text().strip())

    def _environment(self, private: Path) -> Mapping[str, str]:
        return {
            "PATH": SEARCH_PATH,
            "HOME": str(private / "home"),
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
            **self._docker_host.environment,
            "DOCKER_CONFIG": str(private / "config"),
        }


def build_argv(cli: Cli, request: BuildRequest, private: Path, dockerfile: Path) -> tuple[str, ...]:
    """Return the command line; `private` is where `_write_inputs` put what it names."""
    argv = [*cli.argv, "--progress=plain", f"--iidfile={private / 'iid'}", f"--file={dockerfile}"]
    argv += [f"--target={request.target}"] if request.target else []
    argv += _of_scope(request.scope)
    arguments = request.build_args.items()
    argv += [f"--build-arg={name}={value}" for name, value in sorted(arguments) if name not in SCOPING]
    argv += [f"--secret=id={name},src={_secret_file(private, name)}" for name in sorted(request.secrets)]
    argv += [f"--label={name}={value}" for name, value in sorted(request.labels.items())]
    argv += [f"--tag={tag}" for tag in request.tags]
    argv += ["--no-cache"] if request.no_cache else []
    return (*argv, "--", str(request.context.resolve()))


def _of_scope(scope: str) -> list[str]:
    """What keeps a build's caches and steps from builds of other scopes.

    The first is put before the id of every cache mount. A step's cache key has the hosts it knows by name in it; the
    hostname of a step would do as well, but the BuildKit inside of Docker 20.10 has no argument for that.
    """
    if not scope:
        return []
    return [f"--build-arg={CACHE_SCOPE}={scope}", f"--add-host={scope}.invalid:127.0.0.1"]


def _write_inputs(request: BuildRequest, private: Path) -> Path:
    """Put the secrets and a Dockerfile given as text into the private directory; return the Dockerfile."""
    if not request.context.is_dir():
        raise BuildFailed(f"The root directory {request.context.name!r} is not in the repository.")
    for name in (*request.secrets, *request.build_args):
        if not _NAME.fullmatch(name):
            raise BuildFailed(f"{name!r} can't be the name of a build variable: letters, digits and _ only.")
    for name in ("home", "secrets", "config"):
        (private / name).mkdir()
    write_logins(private / "config", request.logins)
    for name, value in request.secrets.items():
        file = _secret_file(private, name)
        file.touch(0o600)
        file.write_bytes(value)
    if request.dockerfile_path is not None:
        return _inside(request.dockerfile_path, request.context)
    (private / "recipe").mkdir()
    dockerfile = private / "recipe" / "Dockerfile"
    dockerfile.write_text(request.dockerfile_text or "")
    if request.dockerignore is not None:
        dockerfile.with_name("Dockerfile.dockerignore").write_text(request.dockerignore)
    return dockerfile


def _inside(path: Path, context: Path) -> Path:
    real = path.resolve()
    if not real.is_file() or not real.is_relative_to(context.resolve()):
        raise BuildFailed(f"The Dockerfile {path.name} is not a file inside of the repository.")
    return real


def _secret_file(private: Path, name: str) -> Path:
    return private / "secrets" / name
