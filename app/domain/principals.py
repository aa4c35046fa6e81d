"""Who asks for something, and what they may do: rights, by role or by scope of a token, in one project or in all."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass


class Right(enum.StrEnum):
    """What can be allowed. Each route declares the one that it needs."""

    READ = "read"  # see what there is: jobs, builds, runs, logs, decisions; no secret
    RUN = "run"  # run, build, cancel, pause, replay, answer approvals, rehearse
    DEPLOY = "deploy"  # deploy, promote, roll back
    CHANGE = "change"  # define, change and remove jobs and what else a project holds
    SKIP_STAGES = "skip_stages"  # promote past a stage
    SECRETS = "secrets"  # set credentials and webhook secrets; no secret can be read by anybody
    SHELL = "shell"  # a shell in a running container, which has the run's secrets
    PROJECTS = "projects"  # make and remove projects
    TOKENS = "tokens"  # make, list and revoke API tokens
    PRUNE = "prune"  # remove what is older, or more, than is kept
    AUDIT = "audit"  # read who changed what
    PEOPLE = "people"  # invite, change, disable and remove users, and end their sessions


OF_SETTINGS = "admin token"  # what who has the token of the settings is called
TOKEN_CALLED = "token "  # noqa: S105 - before the name of any other

# Only who has these for all projects has them.
INSTALLATION = frozenset({Right.PROJECTS, Right.TOKENS, Right.PRUNE, Right.PEOPLE})


class Role(enum.StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_VIEWER = frozenset({Right.READ})
_OPERATOR = _VIEWER | {Right.RUN, Right.DEPLOY}
RIGHTS_OF = {Role.VIEWER: _VIEWER, Role.OPERATOR: _OPERATOR, Role.ADMIN: frozenset(Right)}


class Scope(enum.StrEnum):
    """What a token may be limited to, each by itself; `admin` is everything."""

    READ = "read"
    RUN = "run"
    DEPLOY = "deploy"
    ADMIN = "admin"


RIGHTS_OF_SCOPE = {
    Scope.READ: frozenset({Right.READ}),
    Scope.RUN: frozenset({Right.RUN}),
    Scope.DEPLOY: frozenset({Right.DEPLOY}),
    Scope.ADMIN: frozenset(Right),
}
SCOPES_OF = {
    Role.VIEWER: (Scope.READ,),
    Role.OPERATOR: (Scope.READ, Scope.RUN, Scope.DEPLOY),
    Role.ADMIN: (Scope.ADMIN,),
}


def role_of(scopes: Collection[str]) -> Role | None:
    """The role whose rights are those of the scopes; None where no role has just these."""
    if Scope.ADMIN in scopes:
        return Role.ADMIN
    return next((role for role, of_role in SCOPES_OF.items() if set(of_role) == set(scopes)), None)


def least_role(right: Right) -> Role:
    """The first role that has the right."""
    return next(role for role in Role if right in RIGHTS_OF[role])


@dataclass(frozen=True)
class Grant:
    """Rights in one project or, with `project_id` None, in all. `label` says it in a word, such as the role."""

    rights: frozenset[Right]
    project_id: int | None = None
    label: str = ""

    @classmethod
    def of_role(cls, role: Role, project_id: int | None = None) -> Grant:
        return cls(RIGHTS_OF[role], project_id, role.value)

    @classmethod
    def of_scopes(cls, scopes: Collection[str], project_id: int | None = None) -> Grant:
        rights = frozenset().union(*(RIGHTS_OF_SCOPE[Scope(each)] for each in scopes))
        return cls(rights, project_id, role_of(scopes) or " and ".join(scopes))

    def covers(self, project_id: int | None) -> bool:
        return self.project_id is None or self.project_id == project_id


@dataclass(frozen=True)
class Principal:
    """Somebody who was identified, with what they were granted.

    `user_id` is that of a user, `session` the hash of the session they came by, `token_id` that of an API token; who
    has the token of the settings has none of the two ids.
    """

    name: str
    grants: tuple[Grant, ...]
    is_browser: bool = False
    user_id: int | None = None
    session: str | None = None
    token_id: int | None = None

    @property
    def called(self) -> str:
        """The name, and for an API token that it is one: a user may be called the same."""
        return self.name if self.token_id is None else f"{TOKEN_CALLED}{self.name}"

    def may(self, right: Right, project_id: int | None = None) -> bool:
        """Whether the principal has the right in this project, or (None) in the whole installation."""
        return any(
            right in grant.rights and grant.covers(project_id)
            for grant in self.grants
            if grant.project_id is None or right not in INSTALLATION
        )

    def may_somewhere(self, right: Right) -> bool:
        """Whether the principal has the right in any project; one of `INSTALLATION` it has in all or nowhere."""
        return any(self.may(right, grant.project_id) for grant in self.grants)

    def may_ask_for(self, right: Right) -> bool:
        """Whether a request that needs the right in a project is worth looking at: else the answer is no anyway.

        Somebody with the right for another project is told that this one does not exist, and not that it does.
        """
        return any(right in grant.rights for grant in self.grants)

    def reaches(self, project_id: int) -> bool:
        """Whether the principal may know of the project at all."""
        return any(grant.covers(project_id) for grant in self.grants)

    def projects_with(self, right: Right) -> frozenset[int] | None:
        """The ids of the projects in which the principal has the right; None stands for all."""
        ids = [grant.project_id for grant in self.grants if right in grant.rights]
        return None if None in ids else frozenset(each for each in ids if each is not None)

    @property
    def label(self) -> str:
        """What the principal was granted, in a few words."""
        return _joined(grant.label for grant in self.grants)


def _joined(labels: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(labels)) or "no role"
