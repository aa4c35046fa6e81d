"""The contract of what turns a plan into an image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from builders.plan import BuildPlan
from builders.render import DOCKERIGNORE, render_dockerfile

CACHE_SCOPE = "BUILDKIT_CACHE_MOUNT_NS"
SCOPING = frozenset({CACHE_SCOPE, "BUILDKIT_SANDBOX_HOSTNAME"})  # build arguments that only a scope sets


class BuildFailed(Exception):
    """The repository's fault, the same each time: `str()` is a sentence that names the failing step."""


class BuildCancelled(Exception):
    """Somebody asked for the build to stop, and it has."""


class BuildTimedOut(Exception):
    """The time limit passed, and the build has stopped."""


class PushFailed(Exception):
    """The registry did not take the image: `str()` is a sentence with the registry's own words."""


class BackendUnavailable(Exception):
    """Something is away that is nobody's fault here: the engine, a usable CLI, or a registry. `str()` says what."""


@dataclass(frozen=True)
class Login:
    """What one registry knows the builder by."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class BuildRequest:
    """One image to build.

    - `context`: an existing directory; only files beneath it reach the build, and nothing is written to it.
    - Exactly one of `dockerfile_text` and `dockerfile_path` (a regular file that really lies in the context).
    - `dockerignore`: an ignore file for a Dockerfile given as text; it goes before one the context has.
    - `plan`: where the Dockerfile's text comes from, for a backend that reads no Dockerfiles.
    - `build_args` are visible in the image's history; `secrets` are files of the steps that ask for them.
    - `logins`: by registry host (`docker.io`, `images.example.com:5000`), for base images; no step sees them.
    - `scope`: builds share caches and the results of steps only with builds of the same scope. Lower-case letters
      and digits, 63 at most, that no other scope's builds can guess; without one, builds share with all without one.
    """

    context: Path
    dockerfile_text: str | None = None
    dockerfile_path: Path | None = None
    dockerignore: str | None = None
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    no_cache: bool = False
    plan: BuildPlan | None = None
    scope: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if (self.dockerfile_text is None) == (self.dockerfile_path is None):
            raise ValueError("A build request needs either dockerfile_text or dockerfile_path.")


def request_for(
    plan: BuildPlan,
    checkout: Path,
    *,
    build_args: Mapping[str, str] | None = None,
    secrets: Mapping[str, bytes] | None = None,
    logins: Mapping[str, Login] | None = None,
    labels: Mapping[str, str] | None = None,
    tags: tuple[str, ...] = (),
    no_cache: bool = False,
    scope: str = "",
) -> BuildRequest:
    """Return the request that builds `plan` from the checkout at `checkout`."""
    build_args, secrets = dict(build_args or {}), dict(secrets or {})
    context = checkout / plan.root_directory
    generated = plan.dockerfile_text is None
    default_ignore = DOCKERIGNORE if generated and not (context / ".dockerignore").is_file() else None
    return BuildRequest(
        context=context,
        dockerfile_text=render_dockerfile(plan, build_env=tuple(build_args), build_secrets=tuple(secrets)),
        dockerignore=plan.dockerignore_text or default_ignore,
        target=plan.target,
        build_args=build_args,
        secrets=secrets,
        logins=dict(logins or {}),
        labels=dict(labels or {}),
        tags=tags,
        no_cache=no_cache,
        plan=plan,
        scope=scope,
    )


@dataclass(frozen=True)
class BuiltImage:
    """`digest`: the engine's id of the image, `sha256:…` of its configuration.

    `image` is what the engine runs it by: the digest itself, unless the backend says otherwise.
    """

    digest: str
    image: str = ""

    def __post_init__(self) -> None:
        if not self.image:
            object.__setattr__(self, "image", self.digest)


@dataclass(frozen=True)
class Step:
    """One bar of a build's timeline; reported when it starts and again when it is over.

    - `index`: the step's number, unique in its build and the same in both reports.
    - `total`: how many steps the step's stage has; None for the engine's own steps.
    - `started`: seconds since the build began; `duration`: seconds, None while it runs.
    """

    index: int
    total: int | None
    name: str
    started: float
    duration: float | None = None
    cached: bool = False
    failed: bool = False


class StopSignal(Protocol):
    """A signal like `threading.Event`: set once, from any thread."""

    def is_set(self) -> bool: ...


class ImageBackend(Protocol):
    def build(
        self,
        request: BuildRequest,
        *,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> BuiltImage:
        """Blocks until the image is there. Callbacks come from the calling thread, output as it comes.

        Several threads may build at once. Raises BuildFailed, BuildCancelled, BuildTimedOut or
        BackendUnavailable; in each case nothing of this build goes on, and no other build is touched.
        """
        ...


class ImagePusher(Protocol):
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
        """Gives the image to the registry under `reference` (with a tag); the digest it has there, `sha256:…`.

        Blocks. Raises PushFailed, BuildCancelled, BuildTimedOut or BackendUnavailable.
        """
        ...
