"""What is different about a run that failed from the last one of its job that succeeded before it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.audit import changes_between
from app.domain.documents import Json
from app.domain.errors import JobyardError
from app.domain.events import Commit
from app.domain.forge_links import comparison_page
from app.domain.job.codec import run_to_json
from app.domain.job.spec import RunSpec
from app.domain.runs import Run, RunStatus
from app.store import builds, runs
from app.store.database import Tx

LISTED = 20  # commits
REMEMBERED = 200
AskGit = Callable[[str, str, str, int], Sequence[Commit] | None]


@dataclass(frozen=True)
class Range:
    """The commits of `after` that `before` has not, newest first: at most `LISTED`; None where Git can't say."""

    before: str
    after: str
    commits: Sequence[Commit] | None
    has_more: bool
    page: str | None


@dataclass(frozen=True)
class Differences:
    """What differs from `green`. `settings` are by name, from and to; of secrets only which there are."""

    green: Run
    has_other_image: bool
    source: Range | None
    settings: Json

    @property
    def is_nothing(self) -> bool:
        return not (self.has_other_image or self.source or self.settings)


class CommitRanges:
    """Asks Git once what lies between two commits; that never changes."""

    def __init__(self, ask: AskGit) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], Sequence[Commit]] = OrderedDict()

    def between(self, url: str, before: str, after: str) -> Sequence[Commit] | None:
        """At most `LISTED` and one, newest first; None where the mirror has not both, or can't be read now."""
        key = url, before, after
        with self._lock:
            if key in self._known:
                return self._known[key]
        try:
            found = self._ask(url, before, after, LISTED + 1)
        except JobyardError:
            return None
        if found is not None:
            with self._lock:
                self._known[key] = found
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return found


@dataclass(frozen=True)
class Compared:
    """A run and the last that succeeded before it, with the address of the repository that they are built from."""

    run: Run
    green: Run
    url: str | None


def last_green(tx: Tx, run: Run) -> Compared | None:
    found = runs.page(tx, limit=1, job_id=run.job_id, statuses=[RunStatus.SUCCEEDED], before=run.id)
    if not found:
        return None
    green = found[0]
    build = builds.with_ids(tx, [run.build_id]).get(run.build_id) if run.build_id else None
    return Compared(run, green, build.url if build else None)


def differences(compared: Compared, ranges: CommitRanges) -> Differences:
    run, green = compared.run, compared.green
    before, after = _shown(green.spec), _shown(run.spec)
    return Differences(
        green=green,
        has_other_image=(green.digest or green.image) not in (None, run.digest or run.image),
        source=_range(compared, ranges),
        settings=changes_between(before, after, before, after),
    )


def _range(compared: Compared, ranges: CommitRanges) -> Range | None:
    before, after = compared.green.sha, compared.run.sha
    if before is None or after is None or before == after:
        return None
    if compared.url is None:
        return Range(before, after, None, False, None)
    found = ranges.between(compared.url, before, after)
    listed = None if found is None else found[:LISTED]
    page = comparison_page(compared.url, before, after)
    return Range(before, after, listed, found is not None and len(found) > LISTED, page)


def _shown(spec: RunSpec) -> Json:
    """A run's configuration with `***` for each secret: each run has sealed them anew."""
    env = {name: "***" if each.secret else each.value for name, each in spec.env.items() if each.in_run}
    return {**run_to_json(spec), "env": env}
