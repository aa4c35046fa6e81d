"""Where sealed values belong: each opens for its purpose, in its project, for the row that it was sealed for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.documents import Json

ENV_PURPOSE = "env"
WEBHOOK_PURPOSE = "webhook"
CREDENTIAL_PURPOSE = "credential"
MESSAGE_PURPOSE = "message"
LINK_PURPOSE = "link"
DRAFT_PURPOSE = "draft"
MANIFEST_PURPOSE = "manifest"
TARGET_PURPOSE = "target"
CURRENT_FORM, FORMER_FORM = "v2", "v1"


@dataclass(frozen=True, slots=True)
class Place:
    """What a value is sealed for. `owner` is a row, such as `job 17`, and `name` which of its values."""

    purpose: str
    project_id: int
    owner: str
    name: str = ""

    def __str__(self) -> str:
        """All of it in one text that no other place has."""
        return f"{self.purpose}:{self.project_id}:{self.owner}:{self.name}"

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.purpose} {self.name}".rstrip()


def of_project_hook(project_id: int) -> Place:
    return Place(WEBHOOK_PURPOSE, project_id, f"project {project_id}")


def of_source_hook(project_id: int, source_id: int) -> Place:
    return Place(WEBHOOK_PURPOSE, project_id, f"source {source_id}")


def of_credential(project_id: int, credential_id: int) -> Place:
    return Place(CREDENTIAL_PURPOSE, project_id, f"credential {credential_id}")


def of_app_hook(project_id: int, app_id: int) -> Place:
    """Where the webhook secret of a GitHub App belongs; `app_id` is our own."""
    return Place(WEBHOOK_PURPOSE, project_id, f"github app {app_id}")


def of_message(project_id: int, flow_id: int, node: str) -> Place:
    return Place(MESSAGE_PURPOSE, project_id, f"flow {flow_id}", node)


def of_target(project_id: int, target_id: int) -> Place:
    """Where the address of a notification target belongs."""
    return Place(TARGET_PURPOSE, project_id, f"notification target {target_id}")


def of_mailed_link(user_id: int) -> Place:
    """Where the link to a user's account belongs, which is of no project."""
    return Place(LINK_PURPOSE, 0, f"user {user_id}")


def of_manifest(project_id: int) -> Place:
    """Where what was begun of a GitHub App belongs, which is at GitHub meanwhile and stored nowhere."""
    return Place(MANIFEST_PURPOSE, project_id, f"project {project_id}")


def of_job_draft(draft_id: int) -> Place:
    """Where what somebody has typed of a new job belongs, which may be moved to another project."""
    return Place(DRAFT_PURPOSE, 0, f"job draft {draft_id}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has variables of its own: a job, a secret group or a release flow, as its row is called."""

    project_id: int
    row: str

    @classmethod
    def job(cls, project_id: int, job_id: int) -> Owner:
        return cls(project_id, f"job {job_id}")

    @classmethod
    def group(cls, project_id: int, group_id: int) -> Owner:
        return cls(project_id, f"secret group {group_id}")

    @classmethod
    def flow(cls, project_id: int, flow_id: int) -> Owner:
        return cls(project_id, f"flow {flow_id}")

    def variable(self, name: str) -> Place:
        return Place(ENV_PURPOSE, self.project_id, self.row, name)


def place_of_copy(sealed: str, name: str, project_id: int, job_id: int | None) -> Place:
    """Where a variable opens that a run of the job has, or (None) a build of the project.

    Those have copies of what was sealed for the job, a secret group or a flow of their project. What was sealed for
    another job is placed at this one, where it does not open.
    """
    own = "" if job_id is None else f"job {job_id}"
    written = written_place(sealed)
    owner = own if written is None else written.owner
    is_of_another = owner.startswith("job ") and job_id is not None and owner != own
    return Place(ENV_PURPOSE, project_id, own if is_of_another else owner, name)


def written_place(sealed: str) -> Place | None:
    """The place that a sealed value names; None for one of the form before places, which names none."""
    form, *rest = sealed.split(".", 3)
    parts = rest[2].split(":", 3) if form == CURRENT_FORM and len(rest) == 3 else []
    if len(parts) != 4 or not parts[1].isdecimal():
        return None
    purpose, project_id, owner, name = parts
    return Place(purpose, int(project_id), owner, name)


Reseal = Callable[[str, Place], str]
"""Gives a sealed value as it is from now on; the place is that of one that names none."""


def resealed_env(env: Json, owner: Owner, reseal: Reseal) -> Json:
    """The variables, as they are stored, with every secret's value sealed again."""
    return {
        name: {**given, "value": reseal(given["value"], owner.variable(name))} if _is_sealed(given) else given
        for name, given in env.items()
    }


def resealed_spec(spec: Json, owner: Owner, reseal: Reseal) -> Json:
    """The stored specification of a job, a run or the overrides of a run, likewise."""
    env = spec.get("env")
    return spec if not env else {**spec, "env": resealed_env(env, owner, reseal)}


def resealed_node(node: Json, project_id: int, flow_id: int, reseal: Reseal) -> Json:
    """A stored node of a release flow, likewise; one that stands for several has them below `parallel`."""
    if "parallel" in node:
        nodes = [resealed_node(each, project_id, flow_id, reseal) for each in node["parallel"]]
        return {**node, "parallel": nodes}
    if node.get("url"):
        return {**node, "url": reseal(node["url"], of_message(project_id, flow_id, node["name"]))}
    if node.get("overrides"):
        owner = Owner.flow(project_id, flow_id)
        return {**node, "overrides": resealed_spec(node["overrides"], owner, reseal)}
    return node


def _is_sealed(given: object) -> bool:
    return isinstance(given, dict) and bool(given.get("secret")) and isinstance(given.get("value"), str)
