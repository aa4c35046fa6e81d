"""Bitbucket's APIs: https://developer.atlassian.com/cloud/bitbucket/rest (build statuses, webhooks), and Data Center's.

Data Center has its statuses at an address of their own, `/rest/build-status/1.0`, and webhooks elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from app.domain.commit_statuses import CommitStatus, StatusState
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.answers import outcome_of
from app.forges.api import READ_BYTES, Access, Hook, Outcome, Taken, body_of

CLOUD_HOST, CLOUD_API = "bitbucket.org", "https://api.bitbucket.org/2.0"
KEY = 40  # characters that a status is told apart by
STATES = {
    StatusState.PENDING: "INPROGRESS",
    StatusState.SUCCESS: "SUCCESSFUL",
    StatusState.FAILURE: "FAILED",
    StatusState.ERROR: "STOPPED",
}
_SERVER_STATES = {**STATES, StatusState.ERROR: "FAILED"}  # it has no word for it
_STATUSES = "the scope repository, and write access to it"
_HOOKS = "the scope webhook, and to administer the repository"


class BitbucketApi:
    """Implements `app.forges.api.ForgeApi` and `HookApi`; webhooks of the Cloud alone."""

    name = "Bitbucket"

    def default_url(self, host: str) -> str:
        return CLOUD_API if host.lower() == CLOUD_HOST else f"https://{host}/rest/build-status/1.0"

    def status(self, access: Access, repository: str, sha: str, status: CommitStatus) -> HttpRequest:
        is_cloud = not access.url.endswith("/rest/build-status/1.0")
        said = {
            "key": _key(status.context),
            "name": status.context,
            "state": (STATES if is_cloud else _SERVER_STATES)[status.state],
            "description": status.description,
            "url": status.link or f"https://{CLOUD_HOST}/{quote(repository)}",  # it takes none without
        }
        of_commit = f"/repositories/{quote(repository)}/commit/{quote(sha)}/statuses/build"
        return _request("POST", access, of_commit if is_cloud else f"/commits/{quote(sha)}", said)

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        if answer.status == 204:
            return Taken()  # Data Center says no more
        return outcome_of(answer, now, self.name, _STATUSES)

    def hooks(self, access: Access, repository: str) -> HttpRequest:
        return _request("GET", access, f"/repositories/{quote(repository)}/hooks?pagelen=100")

    def hooks_in(self, answer: HttpAnswer) -> Sequence[Hook]:
        found = body_of(answer)
        values = found.get("values") if isinstance(found, dict) else None
        return [hook for each in (values if isinstance(values, list) else []) if (hook := _hook(each))]

    def save_hook(
        self, access: Access, repository: str, hook_id: str | None, address: str, secret: str
    ) -> HttpRequest:
        hook = {
            "description": "Jobyard",
            "url": address,
            "active": True,
            "secret": secret,
            "events": ["repo:push"],
        }
        path = f"/repositories/{quote(repository)}/hooks"
        if hook_id is None:
            return _request("POST", access, path, hook)
        return _request("PUT", access, f"{path}/{quote(hook_id)}", hook)

    def hook_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        return outcome_of(answer, now, self.name, _HOOKS)


def _key(context: str) -> str:
    if len(context) <= KEY:
        return context
    digest = hashlib.sha256(context.encode()).hexdigest()[:8]
    return f"{context[: KEY - 9]}-{digest}"


def _request(method: str, access: Access, path: str, body: object = None) -> HttpRequest:
    """With a name it is an app password; without, an access token."""
    named = base64.b64encode(f"{access.username}:{access.secret}".encode()).decode()
    proof = f"Basic {named}" if access.username else f"Bearer {access.secret}"
    headers = {"Authorization": proof, "User-Agent": "jobyard"}
    return HttpRequest(method, f"{access.url}{path}", headers, body, READ_BYTES)


def _hook(each: object) -> Hook | None:
    if not isinstance(each, Mapping):
        return None
    id_, address, events = each.get("uuid"), each.get("url"), each.get("events")
    if not isinstance(id_, str) or not isinstance(address, str):
        return None
    return Hook(id_, address, each.get("active") is True, isinstance(events, list) and "repo:push" in events)
