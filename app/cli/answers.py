"""What the commands read of the API's answers. The API's own description has all their fields."""

from __future__ import annotations

from typing import Any, Required, TypedDict

Json = dict[str, Any]  # an object that is printed or sent as it is


class Listing(TypedDict):
    """A page of a list; the objects are of the kind that was asked for."""

    items: list[Any]
    next: int | None


class LogMatch(TypedDict):
    attempt: int | None
    line: int
    text: str


class Deployed(TypedDict):
    image: str
    sha: str | None
    cause: str
    at: str


class Place(TypedDict):
    job: str
    deployed: Deployed | None


class Component(TypedDict):
    name: str
    jobs: list[Place]


class Stage(TypedDict):
    name: str
    components: list[Component]


class Pipeline(TypedDict):
    project: str
    name: str
    stages: list[Stage]


class Member(TypedDict):
    job: str
    deploy_trigger: str | None
    deployed: Deployed | None


class App(TypedDict):
    name: str
    held_by: int | None


class Deployment(TypedDict):
    id: int
    app: str
    status: str


class Source(TypedDict, total=False):
    type: Required[str]
    git: dict[str, str]
    build_service: str
    image: str


class Schedule(TypedDict):
    cron: str
    time_zone: str
    concurrency_policy: str
    active: bool


class LastRun(TypedDict):
    name: str
    status: str
    created_at: str


class Job(TypedDict):
    project: str
    name: str
    paused: bool
    failing: bool
    source: Source
    ci_enabled: bool
    cd_enabled: bool
    run_on_image_change: str
    schedule: Schedule | None
    next_fire_at: str | None
    deployed: Deployed | None
    last_run: LastRun | None
    command: str | list[str] | None
    process: str | None
    env: dict[str, object]
    plan: str
    instances: int
    retry_limit: int
    time_limit_seconds: int | None
    webhook_url: str


class Build(TypedDict):
    id: int
    status: str


class Trigger(TypedDict):
    type: str
    by: str | None


class Attempt(TypedDict):
    status: str
    reason: str | None


class Run(Attempt):
    id: int
    name: str
    sentence: str
    exit_code: int | None
    attempts: int
    retry_limit: int
    succeeded: int
    failed: int
    active: int
    duration_seconds: float | None


class Cancelled(TypedDict, total=False):
    """A run or a build whose end was asked for."""

    status: Required[str]
    cancel_forced_at: str | None


class Flow(TypedDict):
    on_push: str | None
    has_webhook: bool


class FlowNode(TypedDict):
    name: str
    type: str
    status: str
    log: list[str]


class FlowRun(TypedDict):
    id: int
    flow: str
    status: str
    nodes: list[FlowNode]
    finished_at: str | None


class FlowStep(TypedDict, total=False):
    """A node of a flow, or several that run side by side."""

    name: str
    parallel: list[FlowNode]


class Verdict(TypedDict):
    rule: str
    sentence: str


class Effect(TypedDict):
    """What something would do to a job."""

    file: Verdict | None
    build: Verdict
    deploy: Verdict | None


class Change(TypedDict):
    field: str
    before: Any
    after: Any


class Edit(TypedDict):
    """What an edit of settings would change."""

    is_new: bool
    sentence: str
    changes: list[Change]
    deploy: Verdict | None


class RunForecast(TypedDict):
    """What a run would be made with, and where each value is from."""

    effective: Json
    origins: dict[str, str]
    url: str


class PruningPart(TypedDict):
    """What goes of one job, app, flow, pipeline or build service."""

    project: str
    name: str
    going: int
    bytes: int


class Staying(TypedDict):
    count: int
    sentence: str


class PruningKind(TypedDict):
    kind: str
    going: int
    bytes: int
    parts: list[PruningPart]
    staying: list[Staying]


class PruningImages(TypedDict):
    """The images that go; `sentence` says why they could not be counted."""

    going: int
    bytes: int
    sentence: str | None


class Pruning(TypedDict):
    """What a pass of retention removes, or would remove."""

    kinds: list[PruningKind]
    images: PruningImages
    is_whole: bool
