"""The forges whose webhooks are taken."""

from __future__ import annotations

from collections.abc import Mapping

from app.forges.base import Forge
from app.forges.bitbucket import Bitbucket
from app.forges.gitea import Gitea
from app.forges.github import GitHub
from app.forges.gitlab import GitLab


def make_forges() -> Mapping[str, Forge]:
    """Each by its name. GitHub's headers are sent by Gitea too, so it comes last where a call is told by them."""
    return {forge.name: forge for forge in (GitLab(), Gitea(), Bitbucket(), GitHub())}
