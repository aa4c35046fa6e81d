"""Projects as they are given and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain.commit_statuses import Statuses
from app.domain.generic_webhooks import GenericWebhook, Proof, webhook_to_json
from app.domain.job.spec import Network
from app.domain.quotas import NAMES, Usage
from app.store.projects import Project
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import HeaderName, Name, Pointer, PointerOrAddress, Time, WebhookSecret

STATUSES = (
    "statuses posted of each commit and job at its forge: none, one that follows the build and then the run it starts,"
    " or two"
)
PUBLIC = "anybody may see badges of its jobs, and a page of how they are doing"
_GENERIC = GenericWebhook("")
_OF_WEBHOOK = {"header", "ref", "sha", "before", "repository"}
GENERIC = "a webhook for whatever sends JSON"
Count = Annotated[int, Field(ge=0, le=10**6)]


class LimitsForm(Model):
    """What a project may use: 0 is no limit, null the server's setting `JOBYARD_PROJECT_…`."""

    jobs: Count | None = None
    queued_runs: Count | None = None
    runs_at_once: Count | None = None
    builds_at_once: Count | None = None
    cpus: Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)] | None = Field(
        default=None, description="of all running containers together"
    )
    memory_mb: Annotated[int, Field(ge=0, le=10**9)] | None = Field(
        default=None, description="of all running containers together, in MiB"
    )
    log_mb: Annotated[int, Field(ge=0, le=10**9)] | None = Field(
        default=None, description="of all logs, in MiB: the oldest go"
    )

    @property
    def given(self) -> dict[str, float | None]:
        """The limits that something was said of."""
        return {name: getattr(self, name) for name in NAMES if name in self.model_fields_set}


class HardeningForm(Model):
    """What all runs of a project are held to, whatever its jobs say."""

    non_root: bool = Field(default=False, description="run as no user 0, whatever the image says")
    read_only: bool = Field(
        default=False, description="write nowhere but to /tmp and the image's volumes, in memory"
    )
    network: Literal["default", "none"] = Field(
        default="default", description="none: reach nothing but themselves"
    )

    @property
    def given(self) -> dict[str, Any]:
        """What something was said of."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return said | ({"network": Network(self.network)} if "network" in said else {})


class GenericWebhookForm(Model):
    """Where a call with JSON says what was pushed: JSON Pointers such as `/push/ref`, and how it proves itself."""

    proof: Literal["hmac", "token"] = Field(
        default="hmac", description="an HMAC-SHA-256 of the body by the webhook secret, or the secret itself"
    )
    header: HeaderName = Field(default=_GENERIC.header, description="the header that has the proof")
    ref: Pointer = Field(default=_GENERIC.ref, description="to a full ref, or a branch")
    sha: Pointer = Field(
        default=_GENERIC.sha, description="to the pushed commit, 40 digits; zeros for a deletion"
    )
    before: Pointer | None = Field(default=None, description="to the commit before, if that is told")
    repository: PointerOrAddress = Field(
        default=_GENERIC.repository,
        description="to the repository's address or its owner/name; or the address itself",
    )

    @property
    def webhook(self) -> GenericWebhook:
        return GenericWebhook(id="", **{**self.model_dump(include=_OF_WEBHOOK), "proof": Proof(self.proof)})


class GenericWebhookAnswer(GenericWebhookForm):
    id: str = Field(description="its address is /webhooks/generic/{id}")


class ProjectForm(Model):
    """A namespace; its webhook secret speaks for all its repositories."""

    model_config = with_example({"name": "acme", "webhook_secret": "a long random text"})

    name: Name
    webhook_secret: WebhookSecret | None = Field(default=None, repr=False, description="write-only")
    limits: LimitsForm = Field(default_factory=LimitsForm)
    public: bool = Field(default=False, description=PUBLIC)
    commit_statuses: Statuses = Field(default=Statuses.ONE, description=STATUSES)


class ProjectPatch(Model):
    model_config = with_example({"webhook_secret": "another random text", "limits": {"runs_at_once": 4}})

    webhook_secret: WebhookSecret | None = Field(
        default=None, repr=False, description="write-only; left out or null keeps the stored one"
    )
    limits: LimitsForm = Field(
        default_factory=LimitsForm,
        description="only for administrators of all projects; what is left out stays",
    )
    hardening: HardeningForm = Field(
        default_factory=HardeningForm,
        description="only for administrators of all projects; what is left out stays",
    )
    public: bool | None = Field(default=None, description=f"{PUBLIC}; left out or null changes nothing")
    commit_statuses: Statuses | None = Field(
        default=None, description=f"{STATUSES}; left out or null changes nothing"
    )
    generic_webhook: GenericWebhookForm | None = Field(
        default=None, description=f"{GENERIC}; left out changes nothing, null removes it"
    )


class ProjectAnswer(Model):
    id: int
    name: str
    webhook_secret: None = None
    has_webhook_secret: bool
    limits: LimitsForm = Field(description="those of its own; null where the server's count")
    hardening: HardeningForm
    public: bool
    commit_statuses: Statuses = Field(description=STATUSES)
    generic_webhook: GenericWebhookAnswer | None = Field(description=GENERIC)
    created_at: Time


class UsageAnswer(Model):
    limit: str = Field(description="a field of a project's limits")
    of: str = Field(description="what is limited, in words")
    used: float
    most: float = Field(description="0: any number")
    is_own: bool = Field(description="set for this project; else the server's")


class UsagesAnswer(Model):
    """What a project uses now of what it may."""

    items: list[UsageAnswer]


def project_answer(project: Project) -> ProjectAnswer:
    return ProjectAnswer(
        id=project.id,
        name=project.name,
        has_webhook_secret=project.webhook_secret is not None,
        limits=LimitsForm.model_validate(project.limits),
        hardening=HardeningForm.model_validate(asdict(project.hardening)),
        public=project.public,
        commit_statuses=project.commit_statuses,
        generic_webhook=generic_answer(project.generic_webhook),
        created_at=project.created_at,
    )


def generic_answer(webhook: GenericWebhook | None) -> GenericWebhookAnswer | None:
    return None if webhook is None else GenericWebhookAnswer.model_validate(webhook_to_json(webhook))


def usages_answer(found: Sequence[Usage]) -> UsagesAnswer:
    return UsagesAnswer(
        items=[
            UsageAnswer(limit=each.name, of=each.words, used=each.used, most=each.most, is_own=each.is_own)
            for each in found
        ]
    )
