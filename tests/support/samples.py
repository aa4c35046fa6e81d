"""A job's specification and an event of GitHub, as small as the loops read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from app.domain.job.codec import job_from_json
from app.domain.job.records import Job, SourceSettings
from app.domain.job.spec import JobSpec
from tests.support.fakes import commit

URL = "https://github.com/acme/report.git"
ZERO = "0" * 40


def spec_of(name: str, **changes: Any) -> JobSpec:
    """A job as it is defined; `changes` are of the API's form."""
    source = {"type": "git", "git": {"url": URL, "branch": "main"}}
    return job_from_json({"name": name, "source": source, "run_on_image_change": "always", **changes})


def settings_of(job: Job, **changes: Any) -> SourceSettings:
    """What is stored of the job's source, with changes."""
    assert job.source is not None
    same = {each.name: getattr(job.source, each.name) for each in fields(SourceSettings)}
    return SourceSettings(**{**same, **changes})


def push_payload(
    before: str | None,
    after: str | None,
    *,
    ref: str = "refs/heads/main",
    forced: bool = False,
    messages: Sequence[str] = ("Change",),
    files: Sequence[str] = ("report.py",),
    url: str = URL,
    target: str | None = None,
) -> dict[str, Any]:
    """The parts of GitHub's push event that are read; `target` is the commit of an annotated tag."""
    listed = []
    if after is not None:
        ids = [*(commit(f"{after}-{number}") for number in range(len(messages) - 1)), after]
        listed = [
            {
                "id": id_,
                "message": message,
                "author": {"name": "Ada"},
                "added": [],
                "removed": [],
                "modified": list(files),
            }
            for id_, message in zip(ids, messages, strict=True)
        ]
    head = listed[-1] if listed else None
    return {
        "ref": ref,
        "before": before or ZERO,
        "after": after or ZERO,
        "created": before is None,
        "deleted": after is None,
        "forced": forced,
        "commits": listed,
        "head_commit": {**head, "id": target} if head and target else head,
        "pusher": {"name": "ada"},
        "compare": "https://github.com/acme/report/compare/a...b",
        "repository": {"full_name": "acme/report", "clone_url": url},
    }
