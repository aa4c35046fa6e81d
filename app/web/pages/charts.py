"""Time as a picture: positions and heights as numbers; the templates draw them as SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt

from app.domain.build_parts import BuildStep
from app.domain.runs import Attempt, Run, RunStatus
from app.store.overview import STRIP
from app.store.run_lists import SUMMED, Past
from app.store.strips import Mark
from app.web.pages import formatting

STRIP_HEIGHT = 28
WIDE, LOW, COLUMNS = 720, 36, 72  # of a drawing of many runs
STACKED = (RunStatus.SUCCEEDED, RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.CANCELLED, RunStatus.FAILED)
SHORTEST = 4  # of a bar, in pixels


def strip(marks: Sequence[Mark], now: datetime) -> dict[RunStatus, str]:
    """The `d` of an SVG path by status, in a drawing 166 wide and 28 high: a bar for each run.

    Oldest left, the newest at the right edge; the height is the duration, by its root.
    """
    lasted = [mark.lasted(now) for mark in marks]
    longest = max([*lasted, 1.0])
    drawn: dict[RunStatus, list[str]] = {}
    for index, (mark, seconds) in enumerate(zip(marks, lasted, strict=True)):
        height = round(SHORTEST + (STRIP_HEIGHT - SHORTEST) * sqrt(seconds / longest))
        at = f"M{(STRIP - 1 - index) * 7} {STRIP_HEIGHT}v-{height}h5v{height}z"
        drawn.setdefault(mark.status, []).append(at)
    return {status: "".join(bars) for status, bars in drawn.items()}


def strip_in_words(marks: Sequence[Mark]) -> str:
    """`24 runs: 22 succeeded, 2 failed; the latest failed`."""
    if not marks:
        return "no runs yet"
    numbers = Counter(str(mark.status) for mark in marks)
    said = ", ".join(f"{number} {status}" for status, number in numbers.most_common())
    return f"{formatting.plural(len(marks), 'run')}: {said}; the latest {marks[0].status}"


def strip_told(marks: Sequence[Mark]) -> str:
    """What `static/lists.js` tells of each bar: `s60+5`, the first letter of the status, how many seconds before the
    one to its right it began, and how many it took (none while it goes on). The newest counts from 1970.
    """
    told, later = [], 0
    for index, mark in enumerate(marks):
        at = int(mark.at.timestamp())
        took = "" if mark.since is not None else round(mark.seconds)
        told.append(f"{str(mark.status)[0]}{later - at if index else at}+{took}")
        later = at
    return " ".join(told)


@dataclass(frozen=True)
class PastRuns:
    """How the newest runs of a list went; `bars` are the `d` of an SVG path by status, `WIDE` and `LOW`."""

    number: int
    start: datetime
    end: datetime
    counts: dict[RunStatus, int]
    percentiles: dict[int, timedelta]  # of the durations of those that are over
    bars: dict[RunStatus, str]

    @property
    def is_some(self) -> bool:
        """There may be more than these."""
        return self.number == SUMMED


def past(runs: Sequence[Past]) -> PastRuns | None:
    """None for fewer than two, which say nothing together."""
    if len(runs) < 2:
        return None
    start, end = min(run.created_at for run in runs), max(run.created_at for run in runs)
    span = max((end - start).total_seconds(), 1.0)
    columns: list[Counter[RunStatus]] = [Counter() for _ in range(COLUMNS)]
    for run in runs:
        columns[min(int((run.created_at - start).total_seconds() / span * COLUMNS), COLUMNS - 1)][
            run.status
        ] += 1
    lasted = sorted(run.finished_at - run.started_at for run in runs if run.started_at and run.finished_at)
    percentiles = {of: lasted[min(len(lasted) * of // 100, len(lasted) - 1)] for of in (50, 95) if lasted}
    counts = Counter(run.status for run in runs)
    return PastRuns(len(runs), start, end, dict(counts.most_common()), percentiles, _stacked(columns))


def _stacked(columns: Sequence[Counter[RunStatus]]) -> dict[RunStatus, str]:
    """Statuses on one another, what did not succeed on top."""
    most = max(column.total() for column in columns)
    drawn: dict[RunStatus, list[str]] = {}
    for index, column in enumerate(columns):
        foot = float(LOW)
        for status in STACKED:
            if not column[status]:
                continue
            height = max(LOW * column[status] / most, 1.0)
            x, high = index * WIDE // COLUMNS, _number(height)
            at = f"M{x} {_number(foot)}v-{high}h{WIDE // COLUMNS - 1}v{high}z"
            drawn.setdefault(status, []).append(at)
            foot -= height
    return {status: "".join(bars) for status, bars in drawn.items()}


@dataclass(frozen=True)
class Span:
    """A stretch of a lane; `x` and `width` in percent."""

    x: float
    width: float
    kind: str  # a status, or `waiting`
    text: str
    title: str
    brief: str = ""

    @property
    def sizes(self) -> str:
        """The screens on which the stretch has room for `text`."""
        return _screens(self.width, WHOLE)

    @property
    def brief_sizes(self) -> str:
        """Those on which it has room for no more than `brief`."""
        fits, whole = _screens(self.width, BRIEF).split(), self.sizes.split()
        return " ".join(each for each in fits if each not in whole)


WHOLE = {"desk": 15.0, "phone": 50.0}  # percent of a lane that a label takes
BRIEF = {"desk": 2.0, "phone": 7.0}


def _screens(width: float, least: Mapping[str, float]) -> str:
    return " ".join(screen for screen, needed in least.items() if width >= needed)


@dataclass(frozen=True)
class Lane:
    """A run's attempts and waits from `start` to `end`; `limit_x` is where its time limit is, in percent."""

    start: datetime
    end: datetime
    spans: tuple[Span, ...]
    limit_x: float | None
    waits: str
    is_guess: bool  # `end` is when it would typically be over


def lane(
    run: Run, attempts: Sequence[Attempt], now: datetime, typical: timedelta | None = None
) -> Lane | None:
    """None before the first attempt has begun. Without a limit, what is going is drawn against what is typical."""
    if not attempts:
        return None
    start = attempts[0].started_at or attempts[0].created_at
    over = run.finished_at or now
    end = max(over, run.deadline_at or over)
    is_guess = (
        not run.status.is_final and run.deadline_at is None and typical is not None and start + typical > now
    )
    if is_guess and typical is not None:
        end = start + typical
    whole = max((end - start).total_seconds(), 0.001)

    def x(at: datetime) -> float:
        return round(min(max((at - start).total_seconds() / whole * 100, 0), 100), 2)

    spans: list[Span] = []
    waits: list[str] = []
    before: datetime | None = None
    for attempt in attempts:
        begun = attempt.started_at or attempt.created_at
        ended = attempt.finished_at or (over if run.status is not RunStatus.QUEUED else begun)
        if before is not None and begun > before:
            waits.append(formatting.duration(begun - before))
            spans.append(Span(x(before), x(begun) - x(before), "waiting", "", f"waited {waits[-1]}"))
        text = f"attempt {attempt.number} · {_ending(attempt)}"
        took = formatting.duration(ended - begun)
        width = max(x(ended) - x(begun), 0.4)
        title, number = f"{text} · {took}", str(attempt.number)
        spans.append(Span(min(x(begun), 99.6), width, attempt.status, text, title, number))
        before = ended
    if run.status is RunStatus.QUEUED and before is not None and now > before:
        spans.append(Span(x(before), x(now) - x(before), "waiting", "", "waits to be tried again"))
    limit_x = x(run.deadline_at) if run.deadline_at else None
    return Lane(start, end, tuple(spans), limit_x, ", ".join(waits), is_guess)


def _ending(attempt: Attempt) -> str:
    if attempt.reason is None:
        return "exit 0" if attempt.status is RunStatus.SUCCEEDED else str(attempt.status)
    code = attempt.exit_code
    return (
        f"exit {code}"
        if attempt.reason == "exit_nonzero" and code is not None
        else formatting.label(attempt.reason)
    )


@dataclass(frozen=True)
class StepBar:
    """A step of a build: `x` and `width` in percent of the whole build."""

    name: str
    status: str
    word: str
    took: str
    x: float
    width: float


def steps(stored: Sequence[BuildStep], *, building: bool, elapsed: timedelta) -> list[StepBar]:
    """In the order in which they began. A step that was never reported over ended with its build."""
    known = [step for step in stored if step.name]
    ends = [step.started + (step.duration or 0) for step in known]
    so_far = elapsed.total_seconds() if building else 0.0
    whole = max([*ends, so_far, 0.001])
    bars = []
    for step in sorted(known, key=lambda step: step.started):
        took = step.duration
        running = took is None and building
        status = "failed" if step.failed else "running" if running else "succeeded"
        word = "cached" if step.cached else "failed" if step.failed else "running" if running else "done"
        seconds = took if took is not None else max(whole - step.started, 0)
        x = round(step.started / whole * 100, 2)
        width = round(max(seconds / whole * 100, 0.6), 2)
        status = "cached" if word == "cached" else status
        bars.append(StepBar(step.name, status, word, formatting.duration(seconds), min(x, 99.4), width))
    return bars


def progress(
    started_at: datetime | None, now: datetime, typical: timedelta | None
) -> tuple[float, float] | None:
    """(seconds so far, seconds it typically takes), if both are known."""
    if started_at is None or typical is None:
        return None
    return max((now - started_at).total_seconds(), 0.0), max(typical.total_seconds(), 1.0)


Point = tuple[datetime, float]


def polyline(
    values: Sequence[Point], *, start: datetime, end: datetime, width: float, height: float, top: float
) -> str:
    """The `points` of an SVG polyline: time from left (`start`) to right (`end`), 0 at the bottom, `top` at the upper
    edge, where greater values are cut off.

    Empty without values; a single moment is a level line over the whole width.
    """

    def y(value: float) -> str:
        share = value / top if top > 0 else 0.0
        return _number(height * (1 - min(max(share, 0.0), 1.0)))

    if not values:
        return ""
    if end <= start:
        level = y(values[-1][1])
        return f"{_number(0)},{level} {_number(width)},{level}"
    span = end - start
    return " ".join(
        f"{_number(width * min(max((at - start) / span, 0), 1))},{y(value)}" for at, value in values
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
