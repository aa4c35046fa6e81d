"""What a push brings, and the order of a branch's movements, which need not be the order in which we hear of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.events import Commit, Push
from app.domain.job.records import Deployed

COMMITS_LISTED = (
    2048  # at most, in a push of github.com; other hosts that speak its language list 20, or fewer
)
STEP = 1_000_000  # room between two movements for those that arrive late


@dataclass(frozen=True)
class Changes:
    """What Git says of a push: the paths that differ between its two ends, and its commits that carry a flag.

    `files` is None where nobody asked or nobody can say; `unknown` is the sentence that says why Git could not.
    """

    files: frozenset[str] | None = None
    flagged: tuple[Commit, ...] = ()
    unknown: str = ""


def lists_all_commits(push: Push, repo_key: str) -> bool:
    """Return whether the forge's own documentation says that every commit of the push is listed.

    Nothing in a payload proves it: the first commit's parent isn't told. So of any other host Git is asked.
    """
    listed = push.commits
    is_whole = 0 < len(listed) < COMMITS_LISTED and listed[-1].sha == push.after
    return is_whole and repo_key.startswith("github.com/")


@dataclass(frozen=True)
class Movement:
    """A branch went from `before` to `after` (None: did not exist); `position` orders a branch's movements.

    `is_found` says that no hook told of it: it may stand for several.
    """

    before: str | None
    after: str | None
    position: int
    is_found: bool = False


def is_repeated(history: Sequence[Movement], before: str | None, after: str | None) -> bool:
    """Return whether this is a known movement told again, e.g. by a second hook. `history` is newest first.

    A branch makes the same step again only from where it is now; from anywhere else an equal movement is the same one.
    """
    if not history or before == history[0].after:
        return False
    return any((known.before, known.after) == (before, after) for known in history)


def told_before(
    history: Sequence[Movement], taken: Sequence[Movement], before: str | None, after: str | None
) -> Movement | None:
    """The known movement that is told again, to a source that has not taken it yet. `taken` are that source's own.

    Where the branch made the same step several times it is the first one after what the source took last.
    """
    if not is_repeated(history, before, after):
        return None
    positions = {each.position for each in taken}
    last = max(positions, default=0)
    same = [
        known
        for known in history
        if (known.before, known.after) == (before, after) and known.position not in positions
    ]
    return min(same, key=lambda known: (known.position < last, known.position), default=None)


def is_connected(history: Sequence[Movement], before: str | None, after: str | None) -> bool:
    """Return whether the known movements alone say where this one belongs."""
    return not history or before == history[0].after or _following(history, after) is not None


def position_of(
    history: Sequence[Movement], before: str | None, after: str | None, contained_in: Collection[str] = ()
) -> int:
    """Return where a movement belongs. `history` is newest first.

    A movement that starts where the branch is now is the newest. One that ends where a known movement starts arrived
    late: it goes just before that one. Else something between is missing: `contained_in` are the known commits that
    hold `after`, as Git says, and it goes before the oldest movement to one of them; where there is none, it is the
    newest.
    """
    if not history:
        return STEP
    newest = history[0]
    if before != newest.after:
        following = _following(history, after)
        if following is None:
            holding = [index for index, known in enumerate(history) if known.after in contained_in]
            following = max(holding, default=None)
        if following is not None:
            floor = history[following + 1].position if following + 1 < len(history) else 0
            return (floor + history[following].position) // 2
    return newest.position + STEP


@dataclass(frozen=True)
class Containment:
    """What Git says of a commit: whether the branch contains it, and which others do. None for what it can't say."""

    on_branch: bool | None = None
    within: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """Where a commit stands that somebody chose to build.

    `on_branch` is None where it can't be said, or whether it is older than something that is deployed can't;
    `contained_in` are the deployed commits that are newer, beyond those which `position` tells of.
    """

    on_branch: bool | None
    position: int
    contained_in: tuple[str, ...] = ()


def standing_of(
    sha: str,
    position: int,
    history: Sequence[Movement],
    git: Containment,
    *,
    deployed: Collection[Deployed],
    built: Mapping[str, int],
) -> Standing:
    """Decide by the known movements of the branch, newest first, and by what Git says where they don't tell.

    `position` is that of a commit which neither of them places; `built` are the latest commits that have an image,
    with their positions: what they contain is not newer.
    """
    known = next((each for each in history if each.after == sha), None)
    holding = [each for each, holds in git.within.items() if holds]
    on_branch = git.on_branch if known is None else True
    if known is not None:
        position = known.position
    elif any(each.after in holding for each in history):
        position = position_of(history, None, sha, holding)
    elif history:
        position = max(position, history[0].position)
    asked = to_ask_about(sha, history, deployed)
    told = _told_of(sha, history)
    position = min([position, *(built[each] - 1 for each in holding if each in built and each not in told)])
    if on_branch and any(git.within.get(each) is None for each in asked):
        on_branch = None
    return Standing(on_branch, position, tuple(sorted(asked.intersection(holding))))


def to_ask_about(sha: str, history: Sequence[Movement], deployed: Collection[Deployed]) -> set[str]:
    """The deployed commits of which the movements don't tell whether they are newer than `sha`."""
    told = _told_of(sha, history)
    return {
        each.sha
        for each in deployed
        if each.sha not in (None, sha) and (each.position is None or each.sha not in told)
    }


def _told_of(sha: str, history: Sequence[Movement]) -> set[str | None]:
    """The commits whose order with `sha` the movements tell."""
    placed = {each.after for each in history}
    return placed if sha in placed else set()


def _following(history: Sequence[Movement], after: str | None) -> int | None:
    """The index of the latest movement that starts at `after`."""
    starts = (
        index for index, known in enumerate(history) if known.before is not None and known.before == after
    )
    return next(starts, None)
