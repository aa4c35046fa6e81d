"""The forges whose webhooks are taken, and whose APIs are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.config import Settings
from app.domain.http import HttpAnswer, HttpRequest, NotAllowed
from app.forges import github_checks
from app.forges.api import ForgeApi, RepositoryApi
from app.forges.base import Forge
from app.forges.bitbucket import Bitbucket
from app.forges.bitbucket_api import BitbucketApi
from app.forges.generic import Generic
from app.forges.gitea import Gitea
from app.forges.gitea_api import GiteaApi
from app.forges.github import GitHub
from app.forges.github_api import GitHubApi
from app.forges.github_checks import GitHubChecks
from app.forges.gitlab import GitLab
from app.forges.gitlab_api import GitLabApi

FORGE_SECONDS = 10.0


def make_forges() -> Mapping[str, Forge]:
    """Each by its name. GitHub's headers are sent by Gitea too, so it comes last where a call is told by them."""
    return {forge.name: forge for forge in (GitLab(), Gitea(), Bitbucket(), GitHub(), Generic())}


def make_hook_apis() -> Mapping[str, RepositoryApi]:
    """What is asked of each kind of forge that lets webhooks be made, by its name among the `Forge`s."""
    return {"github": GitHubApi(), "gitlab": GitLabApi(), "gitea": GiteaApi(), "bitbucket": BitbucketApi()}


def make_forge_apis() -> Mapping[str, ForgeApi]:
    """What posts the statuses of each kind; a GitHub App has checks instead."""
    return {**make_hook_apis(), github_checks.KIND: GitHubChecks()}


def send_to_forge(settings: Settings) -> Callable[[HttpRequest], HttpAnswer]:
    """Return what sends a request to a forge, with a token in it: in the clear only where that is allowed."""

    def send(request: HttpRequest) -> HttpAnswer:
        from app import outbound  # with what it imports, when there is first something to send

        if not request.url.startswith("https:") and "http" not in settings.transports:
            raise NotAllowed("does not begin with https://, and JOBYARD_GIT_ALLOW does not name http")
        return outbound.send(settings.may_reach, request, FORGE_SECONDS)

    return send
