"""A job that was imported, without what Jobyard would refuse: each such field becomes a remark."""

from __future__ import annotations

import json

from pydantic import ValidationError

from app.cli.imports.drafts import Draft, Json
from app.domain.job import rules
from app.web.schemas.drafts import job_draft
from app.web.schemas.job import JobForm
from app.web.validation_messages import field_errors


def usable_job(job: Json, where: str, draft: Draft) -> Json:
    """The job with the fields that are taken as they are."""
    left = dict(job)
    while faults := _faults(left):
        for field, message in faults:
            draft.remark(where, f"{message.rstrip('.')}: left out.")
            if not _drop(left, field):
                left = {"name": job["name"]}
    return left


def _drop(job: Json, field: str) -> bool:
    """Take away what is wrong, and no more of a job's variables and build than that; False if it isn't there."""
    top = field.partition(".")[0]
    if top not in job:
        return False
    parts = field.split(".")
    if top == "env" and len(parts) > 1 and parts[1] in job["env"]:
        job["env"] = {name: value for name, value in job["env"].items() if name != parts[1]}
    elif parts[:2] == ["source", "build"] and len(parts) > 2 and parts[2] in job["source"].get("build", {}):
        build = {name: value for name, value in job["source"]["build"].items() if name != parts[2]}
        job["source"] = {**job["source"], "build": build}
    elif top == "schedule":
        del job["schedule"]
        job["kind"] = "manual"
    elif top in ("source", "name"):
        job["source"] = {"type": "none"}
    else:
        del job[top]
    return True


def _faults(job: Json) -> list[tuple[str, str]]:
    try:
        form = JobForm.model_validate_json(json.dumps(job), strict=True)
    except ValidationError as error:
        return [(each["field"], each["message"]) for each in field_errors(error)]
    return [(field, f"{field} {rule}.") for field, rule in rules.of_job(job_draft(form))]
