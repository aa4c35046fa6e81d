"""Between the form of a flow and what is stored: every name it mentions is looked up, and secrets are sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from app.commands.image_ownership import require_usable
from app.commands.image_rollout import build_to_deploy
from app.domain.errors import Conflict, InvalidValue, NotFound, require_consistent
from app.domain.flows import NodeType, groups_of
from app.domain.jobs import Job
from app.domain.pipelines import route
from app.domain.references import Ours
from app.runtime.ports import MESSAGE_PURPOSE, Vault
from app.store import apps, jobs, pipelines
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.definitions import unmasked
from app.web.api.forms.fields import HIDDEN
from app.web.api.forms.flow import FlowForm, NodeFields, NodeForm, StepForm
from app.web.api.forms.run import shown_env
from app.web.api.overrides import contradictions_of, overrides_of

Rules = Iterator[tuple[str, str]]
NEEDED = {
    NodeType.BUILD: ("job",),
    NodeType.PROMOTE: ("pipeline", "from_"),
    NodeType.DEPLOY: (),
    NodeType.RUN: ("job",),
    NodeType.APPROVAL: (),
    NodeType.MESSAGE: ("message",),
}
OPTIONAL = {
    NodeType.BUILD: ("sha", "ref", "retries"),
    NodeType.PROMOTE: ("to", "to_stage", "retries"),
    NodeType.DEPLOY: ("job", "app", "build", "retries"),
    NodeType.RUN: ("overrides", "wait", "retries"),
    NodeType.APPROVAL: ("message",),
    NodeType.MESSAGE: ("url", "retries"),
}


def check(tx: Tx, project: Project, form: FlowForm) -> int | None:
    """The id of the job whose pushes start the flow. Raises Contradictions, which name every field that is wrong."""
    require_consistent(_contradictions(form))
    places = list(_places(form))
    require_consistent(rule for place, node in places for rule in _references(tx, project, place, node))
    if form.on_push is None:
        return None
    job: Job | None = _found(lambda name: jobs.named(tx, project.name, name), form.on_push)
    if job is None or job.source is None:
        rule = f"must name a job of project {project.name} that is built, not {form.on_push!r}"
        raise InvalidValue("on_push", f"on_push {rule}.")
    return job.id


def definition_of(
    tx: Tx,
    project: Project,
    form: FlowForm,
    vault: Vault,
    ours: Ours,
    kept: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What is stored of a checked form; secrets without a value stay as they are in the `kept` nodes."""
    known = {node["name"]: node for group in groups_of(kept) for node in group}

    def spec(place: str, node: StepForm | NodeForm) -> dict[str, Any]:
        assert node.type is not None
        given = {name: getattr(node, name) for name in ("name", "type", *_given(node)) if name != "parallel"}
        before = known.get(str(node.name), {})
        if node.url is not None:
            given["url"] = _sealed_url(f"{place}.url", node.url, vault, before.get("url"))
        if node.overrides is not None and node.job is not None:
            job = jobs.named(tx, project.name, node.job)
            env = before.get("overrides", {}).get("env")
            image = node.overrides.image
            if image is not None:
                require_usable(tx, ours, project.id, image, f"{place}.overrides.image")
            given["overrides"] = overrides_of(node.overrides, job, vault, env, f"{place}.overrides.")
        return {("from" if name == "from_" else name): value for name, value in given.items()}

    nodes: list[dict[str, Any]] = []
    for number, step in enumerate(form.nodes):
        place = f"nodes.{number}"
        if step.parallel is None:
            nodes.append(spec(place, step))
        else:
            group = [spec(f"{place}.parallel.{at}", node) for at, node in enumerate(step.parallel)]
            nodes.append({"parallel": group})
    return {"nodes": nodes}


def unmasked_in(nodes: Sequence[Mapping[str, Any]], vault: Vault) -> list[str]:
    """Warnings about secrets of the nodes' runs that are too short to be masked."""
    flat = [node for group in groups_of(nodes) for node in group]
    return [said for node in flat for said in unmasked(node.get("overrides", {}).get("env", {}), vault)]


def shown_nodes(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The nodes as they could be given again: secrets are there, without their values."""
    return [
        {"parallel": shown_nodes(node["parallel"])} if "parallel" in node else _shown(node) for node in nodes
    ]


def _shown(node: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(node)
    if "url" in node:
        shown["url"] = HIDDEN
    if "overrides" in node:
        shown["overrides"] = {**node["overrides"], "env": shown_env(node["overrides"]["env"])}
    return shown


def _sealed_url(place: str, url: str, vault: Vault, kept: str | None) -> str:
    if url != HIDDEN:
        return vault.seal(url, MESSAGE_PURPOSE)
    if kept is None:
        raise InvalidValue(place, f"{place} is only how an address is shown, and the node has none: give it.")
    return kept


def _places(form: FlowForm) -> Iterator[tuple[str, StepForm | NodeForm]]:
    """Every node with its dotted path."""
    for number, step in enumerate(form.nodes):
        if step.parallel is None:
            yield f"nodes.{number}", step
        else:
            for at, node in enumerate(step.parallel):
                yield f"nodes.{number}.parallel.{at}", node


def _given(node: StepForm | NodeForm) -> list[str]:
    """The names of the fields that say something, besides name and type."""
    fields = [*NodeFields.model_fields, *(["parallel"] if isinstance(node, StepForm) else [])]
    return [name for name in fields if getattr(node, name) is not None]


def _public(name: str) -> str:
    return name.rstrip("_")


def _contradictions(form: FlowForm) -> Rules:
    for number, step in enumerate(form.nodes):
        given = [*(name for name in ("name", "type") if getattr(step, name) is not None), *_given(step)]
        for name in given if step.parallel is not None else ():
            if name != "parallel":
                yield (
                    f"nodes.{number}.{_public(name)}",
                    "can't be set beside parallel: put it into a node of it",
                )
    names: dict[str, str] = {}
    for place, node in _places(form):
        if node.name is None:
            yield f"{place}.name", "is missing"
        elif node.name in names:
            yield (
                f"{place}.name",
                f"must be another than that of {names[node.name]}, not {node.name!r} as well",
            )
        else:
            names[node.name] = place
        if node.type is None:
            yield f"{place}.type", f"is missing: it is one of {', '.join(NodeType)}"
        else:
            yield from _of_node(place, node, node.type)


def _of_node(place: str, node: StepForm | NodeForm, type_: NodeType) -> Rules:
    given = _given(node)
    for name in NEEDED[type_]:
        if name not in given:
            yield f"{place}.{_public(name)}", f"is missing: a node of type {type_} needs it"
    for name in given:
        if name not in (*NEEDED[type_], *OPTIONAL[type_], "parallel"):
            yield f"{place}.{_public(name)}", f"is not for a node of type {type_}: leave it out"
    if type_ is NodeType.DEPLOY and (node.job is None) == (node.app is None):
        yield f"{place}.job", "is missing: give a job or an app, and not both"
    if type_ is NodeType.DEPLOY and node.app is not None and node.build is not None:
        yield f"{place}.build", "is not for an app: leave it out, or name a job"
    if type_ is NodeType.MESSAGE and node.retries is not None and node.url is None:
        yield f"{place}.retries", "is only for a message that goes to a url: leave it out, or give one"
    if node.to is not None and node.to_stage is not None:
        yield f"{place}.to_stage", "can't be set together with to: give one of them"
    if node.overrides is not None:
        yield from contradictions_of(node.overrides, f"{place}.overrides.")


def _references(tx: Tx, project: Project, place: str, node: StepForm | NodeForm) -> Rules:
    """Names that nothing has, and what can never be done with what they name."""
    of = f"of project {project.name}"
    if node.job is not None:
        job = _found(lambda name: jobs.named(tx, project.name, name), node.job)
        if job is None:
            yield f"{place}.job", f"must name a job {of}, not {node.job!r}"
        elif node.type in (NodeType.BUILD, NodeType.DEPLOY) and job.source is None:
            yield f"{place}.job", f"must name a job that is built from a repository, which {job.name} is not"
        elif isinstance(node.build, int):
            yield from _of_build(tx, place, job, node.build)
    if node.app is not None and _found(lambda name: apps.named(tx, project.name, name), node.app) is None:
        yield f"{place}.app", f"must name an app {of}, not {node.app!r}"
    if node.pipeline is not None:
        pipeline = _found(lambda name: pipelines.named(tx, project.name, name), node.pipeline)
        if pipeline is None:
            yield f"{place}.pipeline", f"must name a pipeline {of}, not {node.pipeline!r}"
        elif node.from_ is not None:
            try:
                route(pipeline, node.from_, to=node.to, to_stage=node.to_stage, may_skip_stages=False)
            except InvalidValue as error:
                yield f"{place}.{error.field}", f"can't be so: {str(error).rstrip('.')}"
            except Conflict as error:
                yield f"{place}.{'to' if node.to else 'to_stage'}", f"can't be so: {str(error).rstrip('.')}"


def _of_build(tx: Tx, place: str, job: Job, build_id: int) -> Rules:
    try:
        build_to_deploy(tx, job, build_id)
    except InvalidValue as error:
        yield f"{place}.build", str(error).removeprefix("build ").rstrip(".")


def _found(find: Callable[[str], Any], name: str) -> Any:
    try:
        return find(name)
    except NotFound:
        return None
