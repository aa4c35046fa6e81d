"""The API of Gitea and Forgejo: https://docs.gitea.com/api (commit statuses, repository webhooks)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from app.domain.commit_statuses import CommitStatus
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.answers import outcome_of
from app.forges.api import READ_BYTES, Access, Hook, Outcome, body_of

EVENTS = ["push", "pull_request"]  # a change replaces them all; a tag is pushed
_STATUSES = "the scope write:repository"
_HOOKS = "the scope write:repository, of somebody who administers the repository"


class GiteaApi:
    """Implements `app.forges.api.ForgeApi` and `HookApi`."""

    name = "Gitea"

    def default_url(self, host: str) -> str:
        return f"https://{host}/api/v1"

    def status(self, access: Access, repository: str, sha: str, status: CommitStatus) -> HttpRequest:
        said = {"state": status.state, "context": status.context, "description": status.description}
        link = {"target_url": status.link} if status.link else {}
        return _request("POST", access, f"/repos/{quote(repository)}/statuses/{quote(sha)}", {**said, **link})

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return outcome_of(answer, now, self.name, _STATUSES)

    def hooks(self, access: Access, repository: str) -> HttpRequest:
        return _request("GET", access, f"/repos/{quote(repository)}/hooks?limit=50")

    def hooks_in(self, answer: HttpAnswer) -> Sequence[Hook]:
        found = body_of(answer)
        return [hook for each in (found if isinstance(found, list) else []) if (hook := _hook(each))]

    def save_hook(
        self, access: Access, repository: str, hook_id: str | None, address: str, secret: str
    ) -> HttpRequest:
        config = {"url": address, "content_type": "json", "secret": secret}
        hook = {"active": True, "events": EVENTS, "config": config}
        path = f"/repos/{quote(repository)}/hooks"
        if hook_id is None:
            return _request("POST", access, path, {"type": "gitea", **hook})
        return _request("PATCH", access, f"{path}/{quote(hook_id)}", hook)

    def hook_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return outcome_of(answer, now, self.name, _HOOKS)


def _request(method: str, access: Access, path: str, body: object = None) -> HttpRequest:
    headers = {"Authorization": f"token {access.secret}", "User-Agent": "jobyard"}
    return HttpRequest(method, f"{access.url}{path}", headers, body, READ_BYTES)


def _hook(each: object) -> Hook | None:
    if not isinstance(each, Mapping) or not isinstance(each.get("id"), int):
        return None
    config, events = each.get("config"), each.get("events")
    address = config.get("url") if isinstance(config, Mapping) else None
    if not isinstance(address, str):
        return None
    return Hook(
        str(each["id"]), address, each.get("active") is True, isinstance(events, list) and "push" in events
    )
