"""A deploy of one job as it is asked for and answered."""

from __future__ import annotations

from pydantic import Field

from app.commands.job_deploys import DeployChoice
from app.web.schemas.base import Model, one_of, with_example
from app.web.schemas.decision import DecisionAnswer
from app.web.schemas.fields import BuildChoice, ImageRef
from app.web.schemas.job import JobAnswer


class JobDeployForm(Model):
    """A build made for the job (`latest` keeps CD on), or an image from a registry."""

    model_config = with_example({"image": "registry.example.com/team/report:1.2"}, one_of("build", "image"))

    build: BuildChoice | None = None
    image: ImageRef | None = Field(default=None, description="a tag is resolved to its digest now")
    confirm_paused: bool = Field(default=False, description="also to a paused job")

    def choice(self) -> DeployChoice:
        return DeployChoice(self.build, self.image)


class JobDeployAnswer(Model):
    """The job as it is now, and the decision that says what moved and whether a run started."""

    job: JobAnswer
    decision: DecisionAnswer
