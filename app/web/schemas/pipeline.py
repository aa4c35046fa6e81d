"""Pipelines and promotions as they are given and shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.commands.pipelines import StageDraft
from app.domain.pipelines import DEFAULT_STAGES
from app.store.pipelines import Promotion
from app.web.schemas.base import Model, one_of, with_example
from app.web.schemas.fields import Name, Time
from app.web.schemas.job import DeployedAnswer


class StageForm(Model):
    name: Name
    components: list[Name] = Field(default=[], max_length=100, description="names of jobs and apps")


def drafts_of(stages: Sequence[StageForm]) -> list[StageDraft]:
    return [StageDraft(stage.name, stage.components) for stage in stages]


def _default_stages() -> list[StageForm]:
    return [StageForm(name=name) for name in DEFAULT_STAGES]


class PipelineForm(Model):
    """Stages in the order in which images move; a component is in one stage at most."""

    model_config = with_example({"name": "main", "stages": [{"name": "staging"}, {"name": "production"}]})

    name: Name
    stages: list[StageForm] = Field(default_factory=_default_stages, min_length=1, max_length=20)


class PipelinePatch(Model):
    model_config = with_example({"stages": [{"name": "staging"}, {"name": "live"}]})

    stages: list[StageForm] = Field(min_length=1, max_length=20, description="replace those that there are")


class PlaceAnswer(Model):
    """A job that is a component, or is of one, and what it has."""

    job: str
    deployed: DeployedAnswer | None
    paused: bool


class ComponentAnswer(Model):
    name: str
    kind: Literal["job", "app"]
    jobs: list[PlaceAnswer]


class StageAnswer(Model):
    name: str
    components: list[ComponentAnswer]


class PipelineAnswer(Model):
    """What is deployed where: the commit, the digest, and since when."""

    id: int
    project: str
    name: str
    stages: list[StageAnswer]
    created_at: Time


class PromotionForm(Model):
    """From a component to its peer: named by `to`, or at the same place of the next or a named stage."""

    model_config = with_example(
        {"from": "report", "to": "report-live"},
        one_of("from", "component"),
        one_of("to", "to_stage", at_most=True),
    )

    from_: Name | None = Field(default=None, alias="from", description="the component whose image goes on")
    component: Name | None = Field(default=None, description="the same as from")
    to: Name | None = Field(default=None, description="the component that gets it")
    to_stage: Name | None = Field(default=None, description="the next stage if left out")
    confirm_paused: bool = Field(default=False, description="also to a paused job")
    skip_stages: bool = Field(default=False, description="past a stage; for administrators")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.from_ is None) == (self.component is None):
            raise ValueError("must have one of from and component")
        if self.to is not None and self.to_stage is not None:
            raise ValueError("can't have both of to and to_stage")
        return self

    @property
    def source(self) -> str:
        source = self.from_ or self.component
        assert source is not None
        return source


class PromotionAnswer(Model):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    id: int
    pipeline: str
    from_: str = Field(alias="from")
    to: str
    images: dict[str, str] = Field(description="the digest that each job gets")
    deployment: int | None = Field(description="of the app that it was promoted to")
    by: str
    sentence: str
    created_at: Time


def promotion_answer(promotion: Promotion, pipeline: str, job_names: dict[str, str]) -> PromotionAnswer:
    """`job_names` by id, as text."""
    fields: dict[str, Any] = {
        "from": promotion.source,
        "to": promotion.target,
        "deployment": promotion.deployment_id,
        "images": {job_names[job_id]: digest for job_id, digest in promotion.images.items()},
    }
    same = {name: getattr(promotion, name) for name in ("id", "by", "sentence", "created_at")}
    return PromotionAnswer(pipeline=pipeline, **fields, **same)
