"""GitLab's API: https://docs.gitlab.com/api/commits/ (commit statuses) and /api/project_webhooks/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from app.domain.commit_statuses import CommitStatus, StatusState
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.answers import outcome_of
from app.forges.api import READ_BYTES, Access, Hook, Outcome, Taken, body_of

STATES = {
    StatusState.PENDING: "pending",
    StatusState.SUCCESS: "success",
    StatusState.FAILURE: "failed",
    StatusState.ERROR: "failed",  # it has no word for it
}
SAID_ALREADY = b"Cannot transition status"  # a status is refused that is just what is there
_STATUSES = "the scope api and the role Developer"
_HOOKS = "the scope api and the role Maintainer"


class GitLabApi:
    """Implements `app.forges.api.ForgeApi` and `HookApi`, for gitlab.com and installations of one's own."""

    name = "GitLab"

    def default_url(self, host: str) -> str:
        return f"https://{host}/api/v4"

    def status(self, access: Access, repository: str, sha: str, status: CommitStatus) -> HttpRequest:
        said = {
            "state": STATES[status.state],
            "name": status.context,
            "description": status.description,
        }
        link = {"target_url": status.link} if status.link else {}
        path = f"/projects/{_id(repository)}/statuses/{quote(sha)}"
        return _request("POST", access, path, {**said, **link})

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        if answer.status == 400 and SAID_ALREADY in answer.body:
            return Taken()
        return outcome_of(answer, now, self.name, _STATUSES)

    def hooks(self, access: Access, repository: str) -> HttpRequest:
        return _request("GET", access, f"/projects/{_id(repository)}/hooks?per_page=100")

    def hooks_in(self, answer: HttpAnswer) -> Sequence[Hook]:
        found = body_of(answer)
        return [hook for each in (found if isinstance(found, list) else []) if (hook := _hook(each))]

    def save_hook(
        self, access: Access, repository: str, hook_id: str | None, address: str, secret: str
    ) -> HttpRequest:
        hook = {
            "url": address,
            "token": secret,
            "push_events": True,
            "tag_push_events": True,
            "merge_requests_events": True,
            "enable_ssl_verification": True,
        }
        path = f"/projects/{_id(repository)}/hooks"
        if hook_id is None:
            return _request("POST", access, path, hook)
        return _request("PUT", access, f"{path}/{quote(hook_id)}", hook)

    def hook_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return outcome_of(answer, now, self.name, _HOOKS)


def _id(repository: str) -> str:
    """A project's path in the place of its number, which takes no slash as it is."""
    return quote(repository, safe="")


def _request(method: str, access: Access, path: str, body: object = None) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access.secret}", "User-Agent": "jobyard"}
    return HttpRequest(method, f"{access.url}{path}", headers, body, READ_BYTES)


def _hook(each: object) -> Hook | None:
    if not isinstance(each, Mapping) or not isinstance(each.get("id"), int):
        return None
    address, alert = each.get("url"), each.get("alert_status")
    if not isinstance(address, str):
        return None
    is_active = alert in (None, "executable")
    said = "" if is_active else "GitLab disabled it after calls that failed"
    return Hook(str(each["id"]), address, is_active, each.get("push_events") is True, said)
