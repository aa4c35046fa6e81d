"""What is beyond the limits of retention, as the API tells of it."""

from __future__ import annotations

from pydantic import Field

from app.commands.image_retention import ImagesPreview
from app.commands.retention_preview import Portion
from app.domain.retention import Kind, Limits, Plan, Why
from app.web.schemas.base import Model


class PruneQuery(Model):
    dry_run: bool = Field(default=False, description="remove nothing, show what would go")


class PartAnswer(Model):
    project: str
    name: str = Field(description="of the job, app, flow, pipeline or build service")
    going: int
    bytes: int


class StayingAnswer(Model):
    why: Why
    sentence: str
    count: int


class PortionAnswer(Model):
    kind: Kind
    going: int
    bytes: int = Field(
        description="of files on this server and of bodies; rows of the database are not weighed"
    )
    parts: list[PartAnswer]
    staying: list[StayingAnswer] = Field(description="what is beyond the limits, and needed")
    within_limits: int


class ImagesAnswer(Model):
    going: int
    bytes: int = Field(description="at most, as images share layers")
    sentence: str = Field(description="why that is not known")


class PruneAnswer(Model):
    dry_run: bool
    days: int = Field(description="0: no limit")
    runs: int = Field(description="of each job; 0: no limit")
    is_whole: bool = Field(description="false: so much is to go that more follows")
    going: int
    bytes: int
    kinds: list[PortionAnswer]
    images: ImagesAnswer


def prune_answer(
    plan: Plan, portions: list[Portion], images: ImagesPreview, limits: Limits, *, dry_run: bool
) -> PruneAnswer:
    return PruneAnswer(
        dry_run=dry_run,
        days=limits.days,
        runs=limits.count,
        is_whole=plan.is_whole,
        going=sum(each.going for each in portions),
        bytes=sum(each.bytes for each in portions),
        kinds=[
            PortionAnswer(
                kind=each.kind,
                going=each.going,
                bytes=each.bytes,
                parts=[PartAnswer(**vars(part)) for part in each.parts],
                staying=[
                    StayingAnswer(why=why, sentence=why.sentence, count=count) for why, count in each.staying
                ],
                within_limits=each.within_limits,
            )
            for each in portions
        ],
        images=ImagesAnswer(**vars(images)),
    )
