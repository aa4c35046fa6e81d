"""GitHub's API: https://docs.github.com/rest (commit statuses, repository webhooks, rate limits)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from app.domain.commit_statuses import CommitStatus
from app.domain.events import one_line
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.answers import outcome_of
from app.forges.api import READ_BYTES, Access, Hook, Outcome, body_of

MEDIA_TYPE, VERSION = "application/vnd.github+json", "2022-11-28"
EVENTS = ["push", "pull_request"]  # a tag is pushed, and so are entries of a merge queue
_STATUSES = "Commit statuses: write (of a classic token, the scope repo:status)"
_HOOKS = "Webhooks: write (of a classic token, the scope admin:repo_hook)"


class GitHubApi:
    """Implements `app.forges.api.ForgeApi` and `HookApi`, for github.com and GitHub Enterprise."""

    name = "GitHub"

    def default_url(self, host: str) -> str:
        return "https://api.github.com" if host.lower() == "github.com" else f"https://{host}/api/v3"

    def status(self, access: Access, repository: str, sha: str, status: CommitStatus) -> HttpRequest:
        said = {"state": status.state, "context": status.context, "description": status.description}
        link = {"target_url": status.link} if status.link else {}
        return request("POST", access, f"/repos/{quote(repository)}/statuses/{quote(sha)}", {**said, **link})

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return outcome_of(answer, now, self.name, _STATUSES)

    def hooks(self, access: Access, repository: str) -> HttpRequest:
        return request("GET", access, f"/repos/{quote(repository)}/hooks?per_page=100")

    def hooks_in(self, answer: HttpAnswer) -> Sequence[Hook]:
        found = body_of(answer)
        return [hook for each in (found if isinstance(found, list) else []) if (hook := _hook(each))]

    def save_hook(
        self, access: Access, repository: str, hook_id: str | None, address: str, secret: str
    ) -> HttpRequest:
        config = {"url": address, "content_type": "json", "insecure_ssl": "0", "secret": secret}
        path = f"/repos/{quote(repository)}/hooks"
        if hook_id is None:
            made = {"name": "web", "active": True, "events": EVENTS, "config": config}
            return request("POST", access, path, made)
        changed = {"active": True, "add_events": EVENTS, "config": config}
        return request("PATCH", access, f"{path}/{quote(hook_id)}", changed)

    def hook_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return outcome_of(answer, now, self.name, _HOOKS)


def request(method: str, access: Access, path: str, body: object = None) -> HttpRequest:
    headers = {
        "Accept": MEDIA_TYPE,
        "Authorization": f"Bearer {access.secret}",
        "User-Agent": "jobyard",  # without one GitHub answers nobody
        "X-GitHub-Api-Version": VERSION,
    }
    return HttpRequest(method, f"{access.url}{path}", headers, body, READ_BYTES)


def _hook(each: object) -> Hook | None:
    if not isinstance(each, Mapping) or not isinstance(each.get("id"), int):
        return None
    config, events, last = each.get("config"), each.get("events"), each.get("last_response")
    address = config.get("url") if isinstance(config, Mapping) else None
    if not isinstance(address, str):
        return None
    takes = isinstance(events, list) and ("push" in events or "*" in events)
    return Hook(str(each["id"]), address, each.get("active") is True, takes, _said(last))


def _said(last: object) -> str:
    if not isinstance(last, Mapping) or not isinstance(last.get("code"), int):
        return ""
    return one_line(f"{last['code']} {last.get('message') or ''}")[:200]
