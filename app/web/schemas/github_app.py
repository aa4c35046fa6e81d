"""GitHub Apps as they are given and shown. What is secret goes in and never comes out."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from app.commands.github_apps import AppChange, AppDraft, Seen, advice_on
from app.domain import limits
from app.store.github_apps import GithubApp
from app.web.numbers import LARGEST
from app.web.schemas.base import Model, with_example
from app.web.schemas.credential import Host
from app.web.schemas.fields import Name, Time, WebhookSecret


def _api_url(value: str) -> str:
    if value and not value.startswith(("https://", "http://")):
        raise ValueError("must be an address such as https://github.example.com/api/v3")
    return value.rstrip("/")


ApiUrl = Annotated[
    str, Field(max_length=limits.URL, json_schema_extra={"format": "web-url"}), AfterValidator(_api_url)
]
PrivateKey = Annotated[
    str,
    Field(min_length=1, max_length=limits.CREDENTIAL, json_schema_extra={"format": "rsa-private-key"}),
]


class GithubAppForm(Model):
    """A GitHub App that is there already. A job names it as its credential."""

    model_config = with_example(
        {"name": "github", "app_id": 4711, "private_key": "-----BEGIN RSA PRIVATE KEY-----…"}
    )

    name: Name
    host: Host = Field(default="github.com", description="of the repositories, or of GitHub Enterprise")
    app_id: int = Field(ge=1, le=LARGEST, description="the number that GitHub gave it")
    private_key: PrivateKey = Field(repr=False, description="as GitHub made it; write-only")
    webhook_secret: WebhookSecret | None = Field(
        default=None, repr=False, description="that of the App's webhook; write-only"
    )
    api_url: ApiUrl = Field(default="", description="by default that of the host")

    def draft(self) -> AppDraft:
        return AppDraft(
            self.name, self.host, self.app_id, self.private_key, self.webhook_secret, self.api_url
        )


class GithubAppPatch(Model):
    """Another private key or webhook secret, for all that use it from then on."""

    model_config = with_example({"webhook_secret": "a long random text"})

    private_key: PrivateKey | None = Field(
        default=None, repr=False, description="write-only; left out, it stays"
    )
    webhook_secret: WebhookSecret | None = Field(
        default=None, repr=False, description="write-only; left out, it stays"
    )

    def change(self) -> AppChange:
        return AppChange(self.private_key, self.webhook_secret)


class GithubAppAnswer(Model):
    id: int
    name: str
    host: str
    app_id: int
    slug: str = Field(description="as it is called in addresses at GitHub, if that is known")
    api_url: str
    private_key: None = None
    webhook_secret: None = None
    has_webhook_secret: bool
    webhook_url: str = Field(description="where its webhook has to call")
    created_at: Time


class InstallationAnswer(Model):
    account: str
    url: str = Field(description="its settings at GitHub")
    is_suspended: bool


class ReachedRepositoryAnswer(Model):
    full_name: str
    url: str
    is_private: bool


class UnreachedJobAnswer(Model):
    job: str
    sentence: str


class SeenAppAnswer(Model):
    """A GitHub App as GitHub has it at this moment; nothing is stored by looking."""

    problem: str = Field(description="why GitHub says less, and what would be right; empty if it says all")
    lacks: list[str] = Field(description="permissions and events that it should have")
    advice: list[str] = Field(description="what is to be done about it, in sentences")
    installations: list[InstallationAnswer]
    repositories: list[ReachedRepositoryAnswer]
    unreached: list[UnreachedJobAnswer] = Field(
        description="jobs that name it, whose repository it doesn't reach"
    )

    @classmethod
    def of(cls, app: GithubApp, seen: Seen) -> SeenAppAnswer:
        return cls(
            advice=advice_on(app, seen),
            problem=seen.problem,
            lacks=seen.registered.lacks if seen.registered else [],
            installations=[
                InstallationAnswer(account=each.account, url=each.page, is_suspended=each.is_suspended)
                for each in seen.installations
            ],
            repositories=[
                ReachedRepositoryAnswer(full_name=each.full_name, url=each.url, is_private=each.is_private)
                for each in seen.repositories
            ],
            unreached=[UnreachedJobAnswer(job=job, sentence=sentence) for job, sentence in seen.unreached],
        )
