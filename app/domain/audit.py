"""The audit log: who changed what, from where, from what to what; and who was refused."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.documents import Json, Stored
from app.domain.errors import InvalidValue
from app.domain.principals import Principal

LONGEST_VALUE = 500  # characters of a value that is shown
MOST_CHANGES = 200  # of one entry


class Action(enum.StrEnum):
    """What was done. The word before the dot is the type of what it was done to."""

    PROJECT_MAKE = "project.make"
    PROJECT_CHANGE = "project.change"
    PROJECT_REMOVE = "project.remove"
    PROJECT_APPLY = "project.apply"  # a file of configuration, to one or several
    CREDENTIAL_MAKE = "credential.make"
    CREDENTIAL_CHANGE = "credential.change"
    CREDENTIAL_REMOVE = "credential.remove"
    SECRET_GROUP_MAKE = "secret_group.make"  # noqa: S105 - names of actions, here and below
    SECRET_GROUP_CHANGE = "secret_group.change"  # noqa: S105
    SECRET_GROUP_REMOVE = "secret_group.remove"  # noqa: S105
    NOTIFICATION_TARGET_MAKE = "notification_target.make"
    NOTIFICATION_TARGET_CHANGE = "notification_target.change"
    NOTIFICATION_TARGET_REMOVE = "notification_target.remove"
    NOTIFICATION_TARGET_TEST = "notification_target.test"
    BUILD_SERVICE_MAKE = "build_service.make"
    BUILD_SERVICE_CHANGE = "build_service.change"
    BUILD_SERVICE_REMOVE = "build_service.remove"
    JOB_MAKE = "job.make"
    JOB_CHANGE = "job.change"
    JOB_REMOVE = "job.remove"
    JOB_PAUSE = "job.pause"
    JOB_RESUME = "job.resume"
    JOB_DEPLOY = "job.deploy"
    BUILD_START = "build.start"
    BUILD_CANCEL = "build.cancel"
    RUN_START = "run.start"
    RUN_CANCEL = "run.cancel"
    RUN_OPEN_SHELL = "run.open_shell"
    RUN_CLOSE_SHELL = "run.close_shell"
    DELIVERY_REPLAY = "delivery.replay"
    DELIVERY_APPROVE = "delivery.approve"
    APP_MAKE = "app.make"
    APP_CHANGE = "app.change"
    APP_REMOVE = "app.remove"
    APP_RELEASE_HOLD = "app.release_hold"
    DEPLOYMENT_START = "deployment.start"
    DEPLOYMENT_CANCEL = "deployment.cancel"
    DEPLOYMENT_ROLL_BACK = "deployment.roll_back"
    PIPELINE_MAKE = "pipeline.make"
    PIPELINE_CHANGE = "pipeline.change"
    PIPELINE_REMOVE = "pipeline.remove"
    PIPELINE_PROMOTE = "pipeline.promote"
    FLOW_MAKE = "flow.make"
    FLOW_CHANGE = "flow.change"
    FLOW_REMOVE = "flow.remove"
    FLOW_MAKE_WEBHOOK = "flow.make_webhook"
    FLOW_REMOVE_WEBHOOK = "flow.remove_webhook"
    FLOW_RUN_START = "flow_run.start"
    FLOW_RUN_CANCEL = "flow_run.cancel"
    FLOW_RUN_APPROVE = "flow_run.approve"
    FLOW_RUN_DECLINE = "flow_run.decline"
    TOKEN_MAKE = "token.make"  # noqa: S105
    TOKEN_REVOKE = "token.revoke"  # noqa: S105
    TOKEN_USE = "token.use"  # noqa: S105 - only where it was refused
    USER_INVITE = "user.invite"
    USER_CHANGE = "user.change"
    USER_REMOVE = "user.remove"
    USER_GRANT = "user.grant"
    USER_REVOKE = "user.revoke"
    USER_DISABLE = "user.disable"
    USER_ENABLE = "user.enable"
    USER_RESET = "user.reset"
    USER_LINK = "user.link"
    USER_UNLINK = "user.unlink"
    USER_ASK_RESET = "user.ask_reset"
    USER_ACCEPT_LINK = "user.accept_link"
    USER_CHANGE_PASSWORD = "user.change_password"  # noqa: S105
    USER_END_SESSIONS = "user.end_sessions"
    SIGN_IN_DONE = "sign_in.done"
    SIGN_IN_FAILED = "sign_in.failed"
    SIGN_IN_THROTTLED = "sign_in.throttled"
    SIGN_OUT = "sign_out.done"
    INSTALLATION_PRUNE = "installation.prune"
    INSTALLATION_BACK_UP = "installation.back_up"
    INSTALLATION_SETUP_LINK = "installation.setup_link"
    INSTALLATION_MAKE_ADMINISTRATOR = "installation.make_administrator"
    INSTALLATION_RESTORE = "installation.restore"
    INSTALLATION_NEW_EPOCH = "installation.new_epoch"
    INSTALLATION_ROTATE_KEY = "installation.rotate_key"

    @property
    def type(self) -> str:
        """What the action is done to, such as `job`; who logs in or out does it to their own account."""
        first = self.value.partition(".")[0]
        return "user" if first in ("sign_in", "sign_out") else first


def check_action(given: str) -> str:
    """An action, or the first word of some, that entries are looked for by. Raises InvalidValue for any other."""
    if given not in {*Action, *(each.partition(".")[0] for each in Action)}:
        raise InvalidValue(
            "action", f"action must be one such as job.change, or job for all of those, not {given!r}."
        )
    return given


class Outcome(enum.StrEnum):
    DONE = "done"
    REFUSED = "refused"


class Kind(enum.StrEnum):
    """What somebody came as."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - an API token, by its id
    ADMIN_TOKEN = "admin_token"  # noqa: S105 - JOBYARD_ADMIN_TOKEN
    LINK = "link"  # the address of a webhook or an invitation
    PROVIDER = "provider"  # the identity provider, whose word took somebody's roles
    COMMAND = "command"  # on the server's own machine
    NOBODY = "nobody"


@dataclass(frozen=True)
class Actor:
    """Who it was, and from where. `id` is that of the user or of the token."""

    name: str
    kind: Kind
    id: int | None = None
    address: str = ""


NOBODY = Actor("nobody", Kind.NOBODY)
COMMAND_LINE = Actor("the command line", Kind.COMMAND, address="this machine")
PROVIDER = Actor("the identity provider", Kind.PROVIDER)


def actor_of(principal: Principal | None, address: str, otherwise: Kind = Kind.NOBODY) -> Actor:
    """Who a request is from; `otherwise` is what somebody without an account or token came as."""
    if principal is None:
        name = "a link" if otherwise is Kind.LINK else otherwise.value
        return Actor(name, otherwise, address=address)
    if principal.user_id is not None:
        return Actor(principal.name, Kind.USER, principal.user_id, address)
    kind = Kind.ADMIN_TOKEN if principal.token_id is None else Kind.TOKEN
    return Actor(principal.name, kind, principal.token_id, address)


@dataclass(frozen=True)
class Subject:
    """What it was about. Type, id, name and project stay as they were, whatever becomes of the thing."""

    type: str
    id: int | None = None
    name: str = ""
    project_id: int | None = None
    project: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the audit log. `changes` are by field: `from` and `to`, or for a secret `changed` alone.

    `detail` says why something was refused, or what of it is no field. `times` is more than one where many refusals
    became one entry.
    """

    at: datetime
    actor: Actor
    action: Action
    subject: Subject
    outcome: Outcome = Outcome.DONE
    changes: Json = field(default_factory=dict)
    detail: str = ""
    times: int = 1
    request_id: str = ""
    id: int = 0


def changes_between(before: Json, after: Json, shown_before: Json, shown_after: Json) -> Json:
    """Return what differs, by dotted path, with values only where the shown form of a document has the same ones.

    What a document holds and its shown form does not is a secret: of that only `changed` is told. Text that is empty is
    none.
    """
    old, new = _leaves(before), _leaves(after)
    may_show = (_leaves(shown_before), _leaves(shown_after))
    return {
        path: _change(path, old, new, may_show)
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    }


def _change(path: str, old: Json, new: Json, may_show: tuple[Json, Json]) -> Json:
    for leaves, shown in zip((old, new), may_show, strict=True):
        if path in leaves and (path not in shown or shown[path] != leaves[path]):
            return {"changed": True}
    return {"from": shortened(old.get(path)), "to": shortened(new.get(path))}


def bounded(changes: Json) -> Json:
    """The first so many changes and, of more, how many there are: a job may have a thousand variables."""
    further = len(changes) - MOST_CHANGES
    if further <= 0:
        return changes
    return {**dict(list(changes.items())[:MOST_CHANGES]), f"{further} further fields": {"changed": True}}


def shortened(value: Any) -> Any:
    """Return the value, or the beginning of one that is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _leaves(document: Stored, prefix: str = "") -> Json:
    found: Json = {}
    for name, value in document.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{path}.")
        else:
            found[path] = None if value == "" else value
    return found
