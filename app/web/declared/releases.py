"""What moves the images of jobs on: apps, pipelines and release flows, as a file declares them."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands import apps as app_commands
from app.commands import pipelines as pipeline_commands
from app.commands.flow_warnings import warnings_of
from app.commands.flows import save_flow
from app.domain.documents import Json
from app.domain.pipelines import Pipeline
from app.domain.principals import Right
from app.store import apps, flows, jobs, pipelines
from app.store.apps import App
from app.store.database import Tx
from app.store.flows import Flow
from app.store.projects import Project
from app.web.declared.kinds import PAGE, Kind, Scene, all_of, or_none
from app.web.patching import merge_patch, patched_flow, shown_flow
from app.web.reading import read_value
from app.web.schemas.app import AppForm
from app.web.schemas.flow import FlowForm
from app.web.schemas.pipeline import PipelineForm, drafts_of


def _app(tx: Tx, project: Project, name: str) -> App | None:
    return or_none(lambda: apps.named(tx, project.name, name))


def _app_names(tx: Tx, project: Project) -> list[str]:
    found = all_of(lambda before: apps.page(tx, project_id=project.id, limit=PAGE, before=before))
    return [each.name for each in found]


def _shown_app(tx: Tx, project: Project, name: str) -> Json | None:
    """`hooks` are those of which the job itself does not say so."""
    found = _app(tx, project, name)
    if found is None:
        return None
    own = jobs.with_ids(tx, [member.job_id for member in found.members])
    hooks = [
        member.job
        for member in found.members
        if member.hook == "post-deploy"
        and member.job_id in own
        and own[member.job_id].spec.deploy_trigger is None
    ]
    return {"name": name, "jobs": [member.job for member in found.members], "hooks": hooks}


def _save_app(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    known, shown = _app(tx, project, fields["name"]), _shown_app(tx, project, fields["name"])
    merged = {**(shown or {}), **fields}
    if shown is not None and "hooks" not in fields and isinstance(merged["jobs"], list):
        merged["hooks"] = [hook for hook in merged["hooks"] if hook in merged["jobs"]]
    form = read_value(AppForm, merged, scene.rules)
    if known is None:
        app_commands.define_app(tx, project, form.name, form.jobs, form.hooks, scene.now)
    else:
        app_commands.change_app(tx, known, form.jobs, form.hooks)
    return ()


def _remove_app(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    app_commands.remove_app(tx, apps.named(tx, project.name, name))


def _pipeline(tx: Tx, project: Project, name: str) -> Pipeline | None:
    return or_none(lambda: pipelines.named(tx, project.name, name))


def _pipeline_names(tx: Tx, project: Project) -> list[str]:
    found = all_of(lambda before: pipelines.page(tx, project_id=project.id, limit=PAGE, before=before))
    return [each.name for each in found]


def _shown_pipeline(tx: Tx, project: Project, name: str) -> Json | None:
    found = _pipeline(tx, project, name)
    if found is None:
        return None
    stages = [
        {"name": stage.name, "components": [each.name for each in stage.components]} for stage in found.stages
    ]
    return {"name": name, "stages": stages}


def _save_pipeline(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    known, shown = _pipeline(tx, project, fields["name"]), _shown_pipeline(tx, project, fields["name"])
    form = read_value(PipelineForm, merge_patch(shown or {}, fields), scene.rules)
    if known is None:
        pipeline_commands.define_pipeline(tx, project, form.name, drafts_of(form.stages), scene.now)
    else:
        pipeline_commands.change_pipeline(tx, known, drafts_of(form.stages))
    return ()


def _remove_pipeline(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    pipeline_commands.remove_pipeline(tx, pipelines.named(tx, project.name, name))


def _flow(tx: Tx, project: Project, name: str) -> Flow | None:
    return or_none(lambda: flows.named(tx, project.name, name))


def _flow_names(tx: Tx, project: Project) -> list[str]:
    found = all_of(lambda before: flows.page(tx, project_id=project.id, limit=PAGE, before=before))
    return [each.name for each in found]


def _shown_flow(tx: Tx, project: Project, name: str) -> Json | None:
    found = _flow(tx, project, name)
    return None if found is None else shown_flow(found)


def _save_flow(tx: Tx, scene: Scene, project: Project, fields: Json) -> Sequence[str]:
    known = _flow(tx, project, fields["name"])
    form = (
        read_value(FlowForm, fields, scene.rules)
        if known is None
        else patched_flow(known, fields, scene.rules)
    )
    saved = save_flow(tx, project, form.draft(), known, vault=scene.vault, ours=scene.ours, now=scene.now)
    return warnings_of(tx, saved, scene.vault)


def _remove_flow(tx: Tx, _scene: Scene, project: Project, name: str) -> None:
    flows.delete(tx, flows.named(tx, project.name, name).id)


APPS = Kind("apps", "app", Right.CHANGE, AppForm, _app_names, _shown_app, _save_app, _remove_app)
PIPELINES = Kind(
    "pipelines",
    "pipeline",
    Right.CHANGE,
    PipelineForm,
    _pipeline_names,
    _shown_pipeline,
    _save_pipeline,
    _remove_pipeline,
)
FLOWS = Kind("flows", "flow", Right.CHANGE, FlowForm, _flow_names, _shown_flow, _save_flow, _remove_flow)
