"""Whose fault the end of the container CLI was, as a sentence.

Only what the CLI and BuildKit say themselves counts: what a step printed, or the text of its command, may be anything.
"""

import re

from builders.backends.base import BackendUnavailable, BuildFailed
from builders.backends.logins import registry_of
from builders.backends.progress import ProgressReader
from builders.backends.step_limits import StepLimits

WENT_AWAY = "The container engine went away meanwhile."
NO_ANSWER = "The container engine doesn't answer, or went away meanwhile."
_ENGINE_DOWN = re.compile(
    r"(?:ERROR: |error: )?(?:failed to \w+(?: \w+)?: )*"
    r"(?:cannot connect to the docker daemon|error during connect:|permission denied while trying to connect|"
    r"cannot write [^\n]* because server did not provide an image ID|rpc error: code = Unavailable|"
    r"Unavailable: (?:error reading from server|closing transport|connection error)|transport is closing)",
    re.IGNORECASE,
)
_REGISTRY_DOWN = re.compile(
    r"toomanyrequests|dial tcp|i/o timeout|TLS handshake|connection (?:refused|reset)|no such host|"
    r"failed to do request|unexpected (?:http )?status(?: code)?[^\n]*: 5\d\d|"
    r"failed to authorize: failed to fetch|request canceled while waiting|: (?:unexpected )?EOF$",
    re.IGNORECASE,
)
_NO_ACCESS = re.compile(
    r"40[13] (?:Unauthorized|Forbidden)|access denied|authorization failed|no basic auth|insufficient_scope",
    re.IGNORECASE,
)
_PULL = re.compile(
    r"(?:\[.*\] FROM |\[internal\] load metadata for |resolve image config for )(?P<image>[^\s@]+)"
)
_EXIT_CODE = re.compile(
    r"(?:did not complete successfully|executor failed running .*): exit code: (\d+)", re.DOTALL
)
_LAST_EXIT_CODE = re.compile(r"exit code: (\d+)$")  # of a command with several lines
_SIGKILLED = "137"
_KILLED = {"137", "143"}  # by SIGKILL or SIGTERM, as whoever ends the engine may do to its steps


def explain_failure(
    progress: ProgressReader,
    status: int,
    limits: StepLimits | None = None,
    *,
    engine_went_away: bool = False,
) -> BuildFailed | BackendUnavailable:
    """Return the error for a build that failed. `engine_went_away` is what the engine itself was found to be.

    `limits` are those that its steps had.
    """
    last = progress.tail[-1] if progress.tail else ""
    exited = _EXIT_CODE.search(progress.error) or _LAST_EXIT_CODE.search(last)
    if engine_went_away and (exited is None or exited[1] in _KILLED):
        return BackendUnavailable(WENT_AWAY)
    if exited is None and _ENGINE_DOWN.match(last):
        return BackendUnavailable(NO_ANSWER)
    step = progress.failed_step
    pull = _PULL.match(step.name) if step is not None else None
    said = "\n".join([progress.error, *progress.tail])
    if pull and _NO_ACCESS.search(said):
        base = pull["image"]
        return BuildFailed(
            f"The registry gives no access to the base image {base}:"
            f" check its name and the registry credential for {registry_of(base)}."
        )
    if pull and _REGISTRY_DOWN.search(said):
        return BackendUnavailable(f"The registry of a base image can't be reached: {progress.error}.")
    if step is not None:
        reason = f"exit code {exited[1]}" if exited else progress.error.rstrip(".")
        if exited and exited[1] == _SIGKILLED and limits is not None and limits.memory_bytes:
            named = limits.setting and f" ({limits.setting})"
            mebibytes = limits.memory_bytes // 2**20
            reason += f": it was killed, most likely for using more than {mebibytes} MiB of memory{named}"
        elif exited and progress.said:
            reason += f": {progress.said}"
        return BuildFailed(f"The build failed at {step.name}: {reason}.")
    return BuildFailed(f"The build failed: {(last or f'exit status {status}').rstrip('.')}.")


def not_pushed(reference: str, said: str, *, engine_went_away: bool) -> BackendUnavailable | None:
    """Say why an image is not at its registry, where nobody refused it; `said` is the engine's."""
    if engine_went_away:
        return BackendUnavailable(WENT_AWAY)
    if _REGISTRY_DOWN.search(said):
        return BackendUnavailable(
            f"The registry can't be reached, so the image could not be pushed to {reference}: {said}."
        )
    return None
