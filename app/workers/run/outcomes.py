"""What the end of a container means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.domain.errors import JobyardError, UserError
from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.domain.runs import Container, Outcome, Reason, Run
from app.engines.base import Exit, ExitKind, ImageUnavailable, StartRefused
from app.workers.run.active import HealthVerdict

SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def outcome_of_exit(exit_: Exit) -> Outcome:
    """Success only if the process really exited 0."""
    match exit_.kind:
        case ExitKind.EXITED:
            return replace(_of_code(exit_), ended_at=exit_.finished_at)
        case ExitKind.LOST:
            return Outcome(Reason.ENGINE_FAILED, sentence=exit_.detail)
        case ExitKind.ENGINE_FAILED:
            return Outcome(Reason.ENGINE_FAILED, exit_.exit_code, exit_.detail)


def _of_code(exit_: Exit) -> Outcome:
    code = exit_.exit_code
    if exit_.oom_killed and code != 0:
        return Outcome(Reason.OUT_OF_MEMORY, code, "Killed for using more memory than the plan has.")
    more = (
        f" {exit_.detail}" if exit_.detail else ""
    )  # such as that a child process was killed for its memory
    if code == 0:
        return Outcome(None, 0, f"Exited with code 0.{more}")
    signal = f" ({SIGNALS[code]})" if code in SIGNALS else ""
    return Outcome(Reason.EXIT_NONZERO, code, f"Exited with code {code}{signal}.{more}")


def outcome_of_start_error(error: JobyardError, run: Run) -> Outcome:
    match error:
        case ImageUnavailable():
            sentence = f"{error} {_how_to_get_it_back(run)}".rstrip() if error.is_missing else str(error)
            return Outcome(Reason.IMAGE_UNAVAILABLE, sentence=sentence, image_is_gone=error.is_missing)
        case StartRefused():
            reason = Reason.ENGINE_FAILED if error.exit_code is None else Reason.EXIT_NONZERO
            return Outcome(reason, error.exit_code, str(error), is_refusal=True)
        case (
            SecretRefused() | SecretUnavailable()
        ):  # of an attempt that was taken over before it had its containers
            return Outcome(Reason.SECRET_UNAVAILABLE, sentence=str(error))
        case _:
            return Outcome(Reason.ENGINE_FAILED, sentence=str(error))


def _how_to_get_it_back(run: Run) -> str:
    if run.build_id is None:
        return "If it is not in its registry any more, push it there again, or use another one."
    if run.awaited_build_id == run.build_id:
        return f"Build {run.build_id} has just made it again: find out what removes images there."
    return ""  # it is made again, unless the run is to end


def with_next_step(error: UserError) -> str:
    """Return why an image reference means nothing that can be run, and what to do about it."""
    is_missing = isinstance(error, ImageUnavailable) and error.is_missing
    return f"{error} Push it there again, or use another image." if is_missing else str(error)


def outcome_left_behind(container: Container, now: datetime) -> Outcome:
    """Return the outcome of a container of another epoch: it may be another server's, and may have ended in any way."""
    name = (container.handle or {}).get("name")
    its = f"its container {name}" if name else "its container, if it was started,"
    sentence = (
        "The data was restored from a copy that was made while this ran: how it ended is not known here, and "
        f"{its} is left alone."
    )
    return Outcome(Reason.INTERRUPTED, sentence=sentence, ended_at=now, left_behind=True)


def with_health_verdict(outcome: Outcome, verdict: HealthVerdict | None, now: datetime) -> Outcome:
    """Return the outcome with the time of its end, as a health check saw it unless the process had ended before."""
    ended_at = outcome.ended_at or now
    if verdict is None or ended_at < verdict.at:
        return replace(outcome, ended_at=ended_at)
    return Outcome(Reason.UNHEALTHY, outcome.exit_code, verdict.sentence, ended_at)


def stopped_for_another(outcome: Outcome) -> Outcome:
    """The end of an instance that was stopped since another one had failed, which is no failure of its own."""
    return replace(outcome, sentence=f"Stopped, as another instance had failed. {outcome.sentence}")


def combined(outcomes: Sequence[Outcome], *, is_stopped: bool = False) -> Outcome:
    """Return the outcome of an attempt of several instances: success once all have succeeded, else that of the first
    which failed, since the others were stopped for it; it is named, unless all were stopped or ended alike. Each
    outcome has its `ended_at`."""
    failed = [each for each in enumerate(outcomes) if each[1].reason is not None]
    if not failed:
        return max(outcomes, key=_end)
    instance, outcome = min(failed, key=lambda each: _end(each[1]))
    if is_stopped or all(each.sentence == outcome.sentence for each in outcomes):
        return outcome
    return replace(outcome, sentence=f"{outcome.sentence} It was instance {instance}.")


def _end(outcome: Outcome) -> datetime:
    assert outcome.ended_at is not None
    return outcome.ended_at
