"""A pipeline as a board: a column for each stage, a card for each component, and how many commits lie between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.commands.run_differences import LISTED, CommitRanges
from app.domain.builds import Build
from app.domain.events import Commit
from app.domain.job.records import Job
from app.domain.pipelines import Component, Pipeline, Stage
from app.domain.runs import Run
from app.store import apps, builds, jobs, runs
from app.store.database import Tx
from app.store.pipelines import Promotion
from app.web.pages.promotion_preview import Offer, Refusal, offer

ASKED = 24  # pairs of commits that Git is asked about for one page


@dataclass(frozen=True)
class Card:
    """A component in its stage; `way` is its way to the next stage, None in the last."""

    component: Component
    jobs: Sequence[Job]
    way: Offer | Refusal | None

    @property
    def offer(self) -> Offer | None:
        return self.way if isinstance(self.way, Offer) else None

    @property
    def refusal(self) -> Refusal | None:
        return self.way if isinstance(self.way, Refusal) else None


@dataclass(frozen=True)
class Column:
    name: str
    cards: Sequence[Card]


@dataclass(frozen=True)
class Pair:
    """A job and its peer in the next stage, and the repository that they are built from."""

    source: Job
    target: Job
    url: str | None


@dataclass(frozen=True)
class Gap:
    """What lies between a component and its peer; `commits` are newest first, None where Git can't say."""

    source: str
    target: str
    sentence: str
    commits: Sequence[Commit] | None = None


@dataclass(frozen=True)
class Board:
    """One pipeline as it is drawn; `pairs` has what lies between each column and the next."""

    pipeline: Pipeline
    columns: Sequence[Column]
    promotions: Sequence[Promotion]
    pairs: Sequence[Sequence[Pair]]
    builds: Mapping[int, Build]
    latest: Mapping[int, Run]  # of each job, by its id
    gaps: Sequence[Sequence[Gap]] = field(default=())


def board_of(tx: Tx, pipeline: Pipeline, who: str, promotions: Sequence[Promotion]) -> Board:
    """The board as the store has it; `with_gaps` adds what Git says."""
    last = len(pipeline.stages) - 1
    columns = [
        Column(stage.name, [_card(tx, pipeline, each, who, number == last) for each in stage.components])
        for number, stage in enumerate(pipeline.stages)
    ]
    shown = {job.id: job for column in columns for card in column.cards for job in card.jobs}
    found = deployed_builds(tx, shown.values())
    pairs = [
        list(_pairs(here, there, columns, number, found))
        for number, (here, there) in enumerate(zip(pipeline.stages, pipeline.stages[1:], strict=False))
    ]
    return Board(pipeline, columns, promotions, pairs, found, runs.latest_of(tx, list(shown)))


def _card(tx: Tx, pipeline: Pipeline, component: Component, who: str, is_last: bool) -> Card:
    way = None if is_last else offer(tx, pipeline, component.name, who)
    return Card(component, jobs_of(tx, component), way)


def jobs_of(tx: Tx, component: Component) -> Sequence[Job]:
    """The job that a component is, or those of the app that it is, in their order."""
    of_app = apps.with_id(tx, component.id).members if component.kind == "app" else ()
    ids = [member.job_id for member in of_app] if component.kind == "app" else [component.id]
    found = jobs.with_ids(tx, ids)
    return [found[job_id] for job_id in ids if job_id in found]


def _pairs(
    here: Stage, there: Stage, columns: Sequence[Column], number: int, found: Mapping[int, Build]
) -> Sequence[Pair]:
    """The jobs of two stages, peer by peer, as a promotion would pair them."""
    cards = {card.component: card for column in columns[number : number + 2] for card in column.cards}
    pairs = []
    for kind in ("job", "app"):
        for one, other in zip(here.of_kind(kind), there.of_kind(kind), strict=False):
            pairs += pairs_of(cards[one].jobs, cards[other].jobs, found)
    return pairs


def pairs_of(sources: Sequence[Job], targets: Sequence[Job], found: Mapping[int, Build]) -> list[Pair]:
    """Jobs place by place; `found` are the builds that are deployed, by their ids."""
    pairs = []
    for source, target in zip(sources, targets, strict=False):
        build = found.get(source.deployed.build_id or 0) if source.deployed else None
        own = source.source.url if source.source else None
        pairs.append(Pair(source, target, build.url if build else own))
    return pairs


def deployed_builds(tx: Tx, shown: Iterable[Job]) -> dict[int, Build]:
    """The builds that these jobs have, by their ids."""
    ids = [job.deployed.build_id for job in shown if job.deployed and job.deployed.build_id]
    return builds.with_ids(tx, ids)


def with_gaps(boards: Sequence[Board], ranges: CommitRanges) -> list[Board]:
    """The boards with what lies between their columns: of the first pairs Git is asked, of very many more it isn't.

    No transaction may be open.
    """
    left, done = ASKED, []
    for board in boards:
        gaps = []
        for column in board.pairs:
            gaps.append([gap_of(pair, ranges if at < left else None) for at, pair in enumerate(column)])
            left = max(0, left - len(column))
        done.append(replace(board, gaps=gaps))
    return done


def gap_of(pair: Pair, ranges: CommitRanges | None) -> Gap:
    """What lies between a job and its peer, by the mirror of their repository."""
    names = pair.source.name, pair.target.name
    has, there = pair.source.deployed, pair.target.deployed
    if has is None:
        return Gap(*names, "nothing to promote yet")
    if there is None:
        return Gap(*names, "nothing there yet")
    if has.digest == there.digest:
        return Gap(*names, "the same image", [])
    if has.sha is None or there.sha is None or pair.url is None or ranges is None:
        return Gap(*names, "another image")
    if has.sha == there.sha:
        return Gap(*names, "the same commit, built anew", [])
    commits = ranges.between(pair.url, there.sha, has.sha)
    if commits is None:
        return Gap(*names, "other commits")
    if not commits:
        return Gap(*names, "an older commit", commits)
    count = f"more than {LISTED}" if len(commits) > LISTED else str(len(commits))
    return Gap(*names, f"{count} commit{'s' * (len(commits) != 1)} ahead", commits[:LISTED])
