"""`jobyard.yaml`, as a repository has it at its root."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from app.domain import limits
from app.web.schemas.base import Model
from app.web.schemas.fields import EnvName, EnvSize, Name
from app.web.schemas.job import BuildForm, JobForm
from app.web.schemas.variables import AnyEnvForm, EnvEntry, EnvForm

_NO_SECRETS = (
    "is a secret, which a repository is no place for: leave it out and set it on the job's page, or say where it is"
    " kept by from"
)


def _no_secret(entry: AnyEnvForm) -> AnyEnvForm:
    if isinstance(entry, EnvForm) and (entry.secret or entry.value is None):
        raise ValueError(_NO_SECRETS if entry.secret else "must have a value")
    return entry


FileVariables = Annotated[
    dict[EnvName, Annotated[EnvEntry, AfterValidator(_no_secret)]],
    Field(max_length=limits.VARIABLES),
    EnvSize,
]


def _no_source(value: Any) -> None:
    if value is not None:
        raise ValueError("is this repository: leave it out")


class FileJobForm(JobForm):
    """A job of the repository, built as its other jobs are. It has no source, and no secret but by reference."""

    source: Annotated[None, BeforeValidator(_no_source)] = Field(  # type: ignore[assignment]
        default=None, exclude=True, description="left out: it is this repository"
    )
    env: FileVariables = Field(default={})
    secret_groups: list[Name] = Field(
        default=[], max_length=100, description="groups of the project whose variables it gets"
    )


class FileAppForm(Model):
    """The app that the file's jobs deploy as."""

    name: Name
    jobs: list[Name] | None = Field(
        default=None, min_length=1, max_length=100, description="all of the file, if left out"
    )
    hooks: list[Name] = Field(
        default=[], max_length=100, description="jobs that are post-deploy if they have no deploy trigger"
    )


class FileStageForm(Model):
    """The stage of a pipeline of the project that the app or, without one, each job is in."""

    pipeline: Name
    stage: Name


class RepositoryFileForm(Model):
    """`jobyard.yaml`: the jobs that a repository is built for. Each push to the branch of a build service that takes it
    makes and changes them so.
    """

    build: BuildForm | None = Field(
        default=None, description="how the repository is built, once for all its jobs"
    )
    jobs: list[FileJobForm] = Field(min_length=1, max_length=200)
    app: FileAppForm | None = None
    stage: FileStageForm | None = None
