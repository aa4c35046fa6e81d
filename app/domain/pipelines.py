"""Pipelines: ordered stages of components, and which promotions make sense between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.domain.errors import Conflict, InvalidValue

DEFAULT_STAGES = ("development", "staging", "production")
_A = {"job": "a job", "app": "an app"}


@dataclass(frozen=True)
class Component:
    """A job or an app in a stage, by the id of its own table."""

    kind: Literal["job", "app"]
    id: int
    name: str


@dataclass(frozen=True)
class Stage:
    name: str
    components: tuple[Component, ...]

    def of_kind(self, kind: str) -> Sequence[Component]:
        return [component for component in self.components if component.kind == kind]


@dataclass(frozen=True)
class Pipeline:
    """Stages in the order in which images move."""

    id: int
    project_id: int
    project: str
    name: str
    stages: tuple[Stage, ...]
    created_at: datetime

    def find(self, name: str) -> tuple[int, Component] | None:
        """The stage's number and the component of that name, which no other has."""
        for number, stage in enumerate(self.stages):
            for component in stage.components:
                if component.name == name:
                    return number, component
        return None


@dataclass(frozen=True)
class Route:
    """A promotion that makes sense."""

    source: Component
    target: Component
    from_stage: str
    to_stage: str


def route(
    pipeline: Pipeline, component: str, *, to: str | None, to_stage: str | None, may_skip_stages: bool
) -> Route:
    """Return the way from a component to its peer, named by itself (`to`) or its stage; by default to the next stage.

    Without `to` the peer is the component of the same kind at the same place in its stage. Raises InvalidValue for
    what isn't there and Conflict for what makes no sense.
    """
    number, source = _found(pipeline, component, "from")
    if to is not None:
        target_number, target = _found(pipeline, to, "to")
    else:
        target_number = _stage_number(pipeline, to_stage, number)
        target = _peer(pipeline, number, source, target_number)
    _check_direction(pipeline, number, target_number, may_skip_stages=may_skip_stages)
    if source.kind != target.kind:
        raise InvalidValue(
            "to", f"to must name {_A[source.kind]} as {source.name} is, not {_A[target.kind]}."
        )
    return Route(source, target, pipeline.stages[number].name, pipeline.stages[target_number].name)


def _found(pipeline: Pipeline, name: str, field: str) -> tuple[int, Component]:
    found = pipeline.find(name)
    if found is None:
        raise InvalidValue(field, f"{name} is no component of pipeline {pipeline.name}.")
    return found


def _stage_number(pipeline: Pipeline, name: str | None, current: int) -> int:
    names = [stage.name for stage in pipeline.stages]
    if name is None:
        if current + 1 == len(names):
            raise Conflict(f"{names[current]} is the last stage of pipeline {pipeline.name}.")
        return current + 1
    if name not in names:
        raise InvalidValue("to_stage", f"{name} is no stage of pipeline {pipeline.name}: {', '.join(names)}.")
    return names.index(name)


def _peer(pipeline: Pipeline, number: int, source: Component, target_number: int) -> Component:
    place = pipeline.stages[number].of_kind(source.kind).index(source)
    stage = pipeline.stages[target_number]
    peers = stage.of_kind(source.kind)
    if place >= len(peers):
        raise Conflict(
            f"Stage {stage.name} has no {source.kind} that is the peer of {source.name}: name it with to."
        )
    return peers[place]


def _check_direction(pipeline: Pipeline, number: int, target: int, *, may_skip_stages: bool) -> None:
    stages = [stage.name for stage in pipeline.stages]
    if number + 1 == len(stages) and target <= number:
        raise Conflict(f"{stages[number]} is the last stage of pipeline {pipeline.name}.")
    if target <= number:
        raise Conflict(f"Images move forward: {stages[target]} does not come after {stages[number]}.")
    if target != number + 1 and not may_skip_stages:
        between = stages[number + 1 : target]
        comes = "comes" if len(between) == 1 else "come"
        raise Conflict(
            f"{', '.join(between)} {comes} between: promote there first, or say skip_stages as an administrator."
        )
