"""Carries out a start, step by step as `fencing` says."""

from __future__ import annotations

import re
import secrets
import time

from app.domain.errors import EngineUnavailable
from app.engines.base import Handle, ImageUnavailable, StartRefused, StartUncertain
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Conflicting, Gone, Invalid, Refusal
from app.engines.docker.containers import Containers
from app.engines.docker.fencing import Adopt, Candidate, Create, Fence, Start, Step, next_step
from app.engines.docker.logs import Logs
from app.engines.docker.request import KEY_LABEL, container_name

_MAX_FAULTS = 5
_FIRST_PAUSE_SECONDS = 0.1
_MAX_REST_SECONDS = 1.0
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_MEANS_THE_USER = r"unable to find (user|group)|no matching entries in|[Cc]annot mkdir|chdir to cwd"


class Starting:
    """Carries out one call of `start`, and raises what `Engine.start` raises."""

    def __init__(
        self,
        containers: Containers,
        logs: Logs,
        body: ApiObject,
        token: int,
        patience_seconds: float,
    ) -> None:
        self._containers = containers
        self._logs = logs
        self._body = body
        self._key: str = body["Labels"][KEY_LABEL]
        self._token = token
        self._gives_up_at = time.monotonic() + patience_seconds
        self._our_name: str | None = None
        self._has_fenced = False
        self._start_sent = False

    def run(self, *, look_first: bool) -> Handle:
        faults = contentions = 0
        look, rested = look_first, False
        while time.monotonic() < self._gives_up_at:
            try:
                step = next_step(
                    self._containers.candidates(self._body["Labels"]) if look else [], self._our_name
                )
                if isinstance(step, Fence) and not rested:
                    contentions += 1
                    _rest(contentions)
                    rested = True
                    continue
                rested, look = False, True
                if handle := self._take(step):
                    return handle
            except EngineUnavailable as error:
                # Whatever we asked for may have happened, or may still happen: look again, trusting no name
                # of ours.
                self._our_name = None
                faults += 1
                if faults >= _MAX_FAULTS:
                    raise self._undecided(error) from error
                time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (faults - 1))
        raise self._undecided(EngineUnavailable(f"Starting {self._key} took too long."))

    def _take(self, step: Step) -> Handle | None:
        match step:
            case Create():
                self._create()
            case Fence(chosen, others):
                name = self._new_name()
                self._containers.rename(chosen.id, name)
                self._our_name, self._has_fenced = name, True
                self._remove(others)
            case Start(chosen):
                return self._start(chosen)
            case Adopt(chosen, others):
                self._remove(others)
                return self._handle(chosen)
        return None

    def _create(self) -> None:
        name = self._new_name()
        try:
            self._containers.create(name, self._body)
        except Gone as error:
            if "image" in error.explanation.lower():
                raise ImageUnavailable(f"The engine has no image {self._body['Image']}.") from error
            self._containers.forget_network()
            raise
        except Refusal as error:
            self._refused(error)
            raise
        self._our_name = name

    def _start(self, chosen: Candidate) -> Handle | None:
        self._logs.attach(chosen.id)
        try:
            if self._has_fenced and self._containers.ever_ran(chosen.id):
                # A start by the name before ours was under way while we renamed it, and its output before we attached.
                self._logs.forget(chosen.id)
                self._our_name = None
                return None
            self._start_sent = True
            self._containers.start(chosen.name)
        except (Gone, Conflicting):
            # Somebody else took it over between our look and our start.
            self._our_name = None
            return None
        except Refusal as error:
            self._refused(error, chosen)
            raise
        return self._handle(chosen)

    def _refused(self, error: Refusal, chosen: Candidate | None = None) -> None:
        """Raise StartRefused if the refusal is about the specification, after removing the container if there is
        one.
        """
        if not is_lasting(error):
            return
        if chosen is not None:
            self._logs.forget(chosen.id)
            self._containers.delete(chosen.id, force=False)
        raise StartRefused(*refusal_of(error.explanation)) from error

    def _remove(self, others: tuple[Candidate, ...]) -> None:
        for other in others:
            self._logs.forget(other.id)
            self._containers.delete(other.id, force=False)

    def _new_name(self) -> str:
        return container_name(self._key, self._token, secrets.token_hex(4))

    def _handle(self, chosen: Candidate) -> Handle:
        return Handle("docker", self._key, chosen.id, chosen.name)

    def _undecided(self, error: EngineUnavailable) -> EngineUnavailable | StartUncertain:
        if not self._start_sent:
            return error
        return StartUncertain(f"Whether {self._key} was started is not known yet. {error}")


def _rest(contentions: int) -> None:
    """Sleep for a random time, longer with each contention, so that one of several servers on the same key gets
    through.
    """
    bound = min(0.02 * 2**contentions, _MAX_REST_SECONDS)
    time.sleep(bound * secrets.randbelow(1000) / 1000)


def is_lasting(error: Refusal) -> bool:
    """Return whether the refusal is about the specification. The engine answers some of these as faults of its own."""
    said = error.explanation
    return isinstance(error, Invalid) or bool(shell_code(said) or re.search(_MEANS_THE_USER, said))


def refusal_of(explanation: str) -> tuple[str, int | None]:
    """Return the refusal as one sentence, and the exit code where a shell would give one."""
    if "No command specified" in explanation:
        return "There is no command to run: neither the image nor the job names one.", None
    code = shell_code(explanation)
    said = re.sub(r"^.*?: (?=exec[ :])", "", explanation).removesuffix(": unknown").rstrip(".")
    what = "The command can't be run" if code else "The engine refuses this container"
    return f"{what}: {said}.", code


def shell_code(explanation: str) -> int | None:
    """Return 126 or 127 if the engine says that a command can't be run or isn't there, else None."""
    if not re.search(r"\bexec(utable)?\b", explanation):
        return None
    if re.search(r"executable file not found|no such file or directory", explanation):
        return _NOT_FOUND
    return _NOT_EXECUTABLE if re.search(r"permission denied|exec format error", explanation) else None
