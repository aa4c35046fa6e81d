"""GitHub's checks, which a GitHub App may show instead of statuses: https://docs.github.com/rest/checks/runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from app.domain.commit_statuses import CommitStatus, StatusState
from app.domain.documents import Json
from app.domain.http import HttpAnswer, HttpRequest
from app.forges.answers import outcome_of
from app.forges.api import Access, Outcome, Taken, body_of
from app.forges.github_api import GitHubApi, request

KIND = "github-app"
SUMMARY = 60_000  # characters; GitHub takes 65535
_PERMISSION = "Checks: write"
_CONCLUSIONS = {
    StatusState.SUCCESS: "success",
    StatusState.FAILURE: "failure",
    StatusState.ERROR: "cancelled",  # it was not carried to its end
}


class GitHubChecks:
    """Implements `app.forges.api.ForgeApi`: a check run is made, and changed until it is completed.

    Where nothing is built it is `skipped`, which lets required checks pass as `success` does, and says what it was.
    """

    name = "GitHub"

    def default_url(self, host: str) -> str:
        return GitHubApi().default_url(host)

    def status(self, access: Access, repository: str, sha: str, status: CommitStatus) -> HttpRequest:
        body = {"name": status.context, **_progress(status), "output": _output(status)}
        if status.link:
            body["details_url"] = status.link
        path = f"/repos/{quote(repository)}/check-runs"
        if status.posted_as:
            return request("PATCH", access, f"{path}/{quote(status.posted_as)}", body)
        return request("POST", access, path, {**body, "head_sha": sha, "external_id": status.follows})

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        """Return what an answer means; a check run that is completed is followed by another, and not changed."""
        outcome, body = outcome_of(answer, now, self.name, _PERMISSION), body_of(answer)
        if not isinstance(outcome, Taken) or not isinstance(body, Mapping):
            return outcome
        is_over = body.get("status") == "completed"
        return Taken() if is_over or not isinstance(body.get("id"), int) else Taken(str(body["id"]))


def _progress(status: CommitStatus) -> Json:
    if status.state is StatusState.PENDING:
        return {"status": "queued" if "queued" in status.sentence else "in_progress"}
    conclusion = _CONCLUSIONS[status.state] if status.is_built else "skipped"
    return {"status": "completed", "conclusion": conclusion}


def _output(status: CommitStatus) -> Json:
    parts = [status.sentence or status.description]
    if status.lines:
        parts.append(_fenced(status.lines))
    return {"title": status.description, "summary": "\n\n".join(parts)[:SUMMARY]}


def _fenced(lines: Sequence[str]) -> str:
    """The lines as code, with a fence that none of them closes."""
    longest = max((len(line) - len(line.lstrip("`")) for line in lines), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *lines, fence])
