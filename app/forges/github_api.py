"""GitHub's API: https://docs.github.com/rest (commit statuses, repository webhooks, rate limits)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from app.domain.commit_statuses import CommitStatus
from app.domain.events import one_line
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.api import READ_BYTES, Access, Hook, Later, Moved, Outcome, Refused, Taken, body_of

MEDIA_TYPE, VERSION = "application/vnd.github+json", "2022-11-28"
WITHOUT_A_TIME = timedelta(minutes=1)  # to wait at a limit that does not say how long, as GitHub asks for
LONGEST_WAIT = timedelta(hours=2)  # its limits are by the hour
_REDIRECTS = {301, 302, 307, 308}
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
        return _request("POST", access, f"/repos/{quote(repository)}/statuses/{quote(sha)}", {**said, **link})

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return _outcome(answer, now, _STATUSES)

    def hooks(self, access: Access, repository: str) -> HttpRequest:
        return _request("GET", access, f"/repos/{quote(repository)}/hooks?per_page=100")

    def hooks_in(self, answer: HttpAnswer) -> Sequence[Hook]:
        found = body_of(answer)
        return [hook for each in (found if isinstance(found, list) else []) if (hook := _hook(each))]

    def save_hook(
        self, access: Access, repository: str, hook_id: str | None, address: str, secret: str
    ) -> HttpRequest:
        config = {"url": address, "content_type": "json", "insecure_ssl": "0", "secret": secret}
        path = f"/repos/{quote(repository)}/hooks"
        if hook_id is None:
            made = {"name": "web", "active": True, "events": ["push"], "config": config}
            return _request("POST", access, path, made)
        changed = {"active": True, "add_events": ["push"], "config": config}
        return _request("PATCH", access, f"{path}/{quote(hook_id)}", changed)

    def hook_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return _outcome(answer, now, _HOOKS)


def _request(method: str, access: Access, path: str, body: object = None) -> HttpRequest:
    headers = {
        "Accept": MEDIA_TYPE,
        "Authorization": f"Bearer {access.secret}",
        "User-Agent": "jobyard",  # without one GitHub answers nobody
        "X-GitHub-Api-Version": VERSION,
    }
    return HttpRequest(method, f"{access.url}{path}", headers, body, READ_BYTES)


def _outcome(answer: HttpAnswer, now: datetime, permission: str) -> Outcome:
    status, location = answer.status, answer.headers.get("location")
    if 200 <= status < 300:
        if isinstance(body_of(answer), dict | list):
            return Taken()
        return Later(
            f"What answered with status {status} is not GitHub's API: look at the credential's api_url."
        )
    if status in _REDIRECTS and location:
        return Moved(location)
    if status == 429 or (status == 403 and _is_limit(answer)):
        return Later(
            f"GitHub asks to wait (status {status}): a rate limit is reached.", _end(answer, now), True
        )
    if status >= 500 or status in (408, 425):
        return Later(f"GitHub answered with status {status}.")
    return _refused(status, _message(answer), permission)


def _refused(status: int, said: str, permission: str) -> Refused:
    match status:
        case 401:
            return Refused(
                "GitHub does not know the credential (401): its token is wrong, revoked or expired.", True
            )
        case 403:
            return Refused(
                f"GitHub does not let the credential do this (403): it needs {permission}.{said}", True
            )
        case 404:
            needs = f"the credential needs access to it, and {permission}"
            return Refused(f"GitHub shows the credential no such repository (404): {needs}.", True)
        case 422:
            return Refused(f"GitHub did not take it (422): was the commit rewritten, and is gone?{said}")
        case _:
            return Refused(f"GitHub refused it with status {status}.{said}")


def _is_limit(answer: HttpAnswer) -> bool:
    """Return whether a 403 is one of GitHub's rate limits, the primary one or a secondary."""
    if "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0":
        return True
    return "rate limit" in _message(answer).lower()


def _end(answer: HttpAnswer, now: datetime) -> datetime:
    """Return when a limit ends: by Retry-After, else by X-RateLimit-Reset, within bounds."""
    at = _retry_after(answer.headers.get("retry-after", ""), now)
    if at is None and answer.headers.get("x-ratelimit-remaining") == "0":
        at = _epoch(answer.headers.get("x-ratelimit-reset", ""))
    return now + WITHOUT_A_TIME if at is None else min(max(at, now), now + LONGEST_WAIT)


def _retry_after(text: str, now: datetime) -> datetime | None:
    if text.isascii() and text.isdecimal() and len(text) < 9:
        return now + timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _epoch(text: str) -> datetime | None:
    is_time = text.isascii() and text.isdecimal() and len(text) < 12
    return datetime.fromtimestamp(int(text), UTC) if is_time else None


def _message(answer: HttpAnswer) -> str:
    """Return what GitHub says, as a sentence behind one of ours; empty if it says nothing that can be read."""
    body = body_of(answer)
    said = body.get("message") if isinstance(body, dict) else None
    return f" It said: {one_line(said)[:200]}" if isinstance(said, str) and said.strip() else ""


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
