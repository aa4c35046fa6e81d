"""Between a release flow as the API gives and takes it and the fields of its form: each type of node has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.domain.documents import Json
from app.domain.flow_codec import KEPT_URL
from app.domain.flow_nodes import NodeType
from app.web.pages.context import PageContext
from app.web.pages.flow_env import secrets_shown, secrets_typed, shown_env, typed_env
from app.web.pages.form_fields import ABSENT, Fields, value_of
from app.web.pages.rearranging import rearranged
from app.web.texts import COMMAND, OPTIONAL, OPTIONAL_NUMBER, SWITCH, TEXT, Kind

ON = Kind(SWITCH.show, lambda text: True if text else None)  # a switch that is left out where it is off
BUILD_NUMBER = Kind(OPTIONAL.show, lambda text: None if not text.strip() else OPTIONAL_NUMBER.read(text))
OF_TYPE: Mapping[NodeType, Fields] = {
    NodeType.BUILD: {"job": TEXT, "ref": OPTIONAL, "sha": OPTIONAL, "retries": OPTIONAL_NUMBER},
    NodeType.PROMOTE: {
        "pipeline": TEXT,
        "from": TEXT,
        "to": OPTIONAL,
        "to_stage": OPTIONAL,
        "retries": OPTIONAL_NUMBER,
    },
    NodeType.DEPLOY: {"job": OPTIONAL, "app": OPTIONAL, "build": BUILD_NUMBER, "retries": OPTIONAL_NUMBER},
    NodeType.RUN: {"job": TEXT, "retries": OPTIONAL_NUMBER},
    NodeType.APPROVAL: {"message": OPTIONAL},
    NodeType.MESSAGE: {"message": TEXT, "url": OPTIONAL, "retries": OPTIONAL_NUMBER},
}
OF_RUN: Fields = {
    "command": COMMAND,
    "entrypoint": COMMAND,
    "process": OPTIONAL,
    "shell": ON,
    "image": OPTIONAL,
    "build": OPTIONAL_NUMBER,
    "sha": OPTIONAL,
    "plan": OPTIONAL,
    "time_limit_seconds": OPTIONAL_NUMBER,
    "retry_limit": OPTIONAL_NUMBER,
    "confirm_paused": ON,
}


@dataclass(frozen=True)
class TypedNode:
    """A node as it is typed: `key` tells it from the others while its name changes, `texts` are its fields'."""

    key: str
    type: str
    name: str
    is_beside: bool
    texts: Mapping[str, str]


@dataclass(frozen=True)
class TypedFlow:
    name: str
    concurrency: str
    on_push: str
    nodes: Sequence[TypedNode]

    @property
    def groups(self) -> list[list[TypedNode]]:
        """The nodes as they go one after the other; those of a group go side by side."""
        groups: list[list[TypedNode]] = []
        for node in self.nodes:
            if node.is_beside and groups:
                groups[-1].append(node)
            else:
                groups.append([node])
        return groups

    def given(self) -> dict[str, str]:
        """The texts by the names of the form's fields; of a secret only that it is there."""
        found = {"name": self.name, "concurrency": self.concurrency, "on_push": self.on_push}
        for node in self.nodes:
            found |= {f"{field}.{node.key}": text for field, text in node.texts.items()}
            found |= {f"node.{node.key}": node.name, f"beside.{node.key}": "1" if node.is_beside else ""}
            found[f"url.{node.key}"] = _address_shown(node.texts.get("url", ""))
            found[f"secrets.{node.key}"] = secrets_shown(node.texts.get("secrets", ""))
        return found

    def to_retype(self) -> list[str]:
        """Secrets whose new values are not shown again."""
        found = []
        for node in self.nodes:
            if node.texts.get("url", "") not in ("", KEPT_URL):
                found.append(f"address of {node.name}")
            found += secrets_typed(node.texts.get("secrets", ""))
        return found

    def places(self) -> Iterator[tuple[str, TypedNode]]:
        """Each node with the API's path to it."""
        for number, group in enumerate(self.groups):
            for at, node in enumerate(group):
                yield (f"nodes.{number}" if len(group) == 1 else f"nodes.{number}.parallel.{at}"), node

    def field_of(self, path: str) -> str:
        """The field of the form for a field of the API's."""
        for place, node in self.places():
            if path == place or path.startswith(f"{place}."):
                rest = path[len(place) + 1 :]
                field = rest.partition(".")[2] if rest.startswith("overrides.") else rest
                first = field.partition(".")[0]
                return f"{'node' if first in ('', 'name') else first}.{node.key}"
        return "add" if path == "nodes" else path

    def body(self, stored: Mapping[str, Json]) -> Json:
        """As the API takes it; `stored` are the nodes that there are, by their names."""
        steps = []
        for group in self.groups:
            nodes = [_node(each, stored.get(each.name.strip(), {})) for each in group]
            steps.append({"parallel": nodes} if len(nodes) > 1 else nodes[0])
        return {
            "name": self.name.strip(),
            "nodes": steps,
            "concurrency": self.concurrency,
            "on_push": self.on_push or None,
        }


def typed_flow(ctx: PageContext) -> TypedFlow:
    """What was sent, with what a button asks for done: a node added, moved or removed."""
    pressed = ctx.field("do")
    keys = rearranged(ctx.form.get("nodes", ()), pressed)
    nodes = [_typed_node(ctx, key) for key in keys]
    if pressed == "add":
        fresh = max((int(key) for key in keys if key.isdecimal()), default=-1) + 1
        nodes.append(TypedNode(str(fresh), ctx.field("add"), "", False, {"wait": "1"}))
    return TypedFlow(ctx.field("name"), ctx.field("concurrency") or "queue", ctx.field("on_push"), nodes)


def _typed_node(ctx: PageContext, key: str) -> TypedNode:
    end = f".{key}"
    texts = {name.removesuffix(end): ctx.field(name) for name in ctx.form if name.endswith(end)}
    return TypedNode(key, texts.get("type", ""), texts.get("node", ""), bool(texts.get("beside")), texts)


def stored_flow(form: Json) -> TypedFlow:
    """The form of what the API shows of a flow."""
    nodes: list[TypedNode] = []
    for step in form["nodes"]:
        for at, node in enumerate(step.get("parallel") or [step]):
            key = str(len(nodes))
            nodes.append(TypedNode(key, node["type"], node["name"], at > 0, _texts(node)))
    return TypedFlow(form["name"], str(form["concurrency"]), form["on_push"] or "", nodes)


def nodes_by_name(form: Json) -> dict[str, Json]:
    return {node["name"]: node for step in form["nodes"] for node in step.get("parallel") or [step]}


def _texts(node: Json) -> dict[str, str]:
    kinds = OF_TYPE[NodeType(node["type"])]
    texts = {name: kind.show(node[name]) for name, kind in kinds.items() if node.get(name) is not None}
    if node["type"] == NodeType.RUN:
        overrides = node.get("overrides") or {}
        texts["wait"] = "" if node.get("wait") is False else "1"
        texts |= {name: kind.show(overrides[name]) for name, kind in OF_RUN.items() if name in overrides}
        texts |= shown_env(overrides.get("env", {}))
    return texts


def _node(typed: TypedNode, before: Json) -> Json:
    if before.get("type") != typed.type:
        before = {}
    node: Json = {"name": typed.name.strip(), "type": typed.type}
    if typed.type not in set(NodeType):
        return node
    for name, kind in OF_TYPE[NodeType(typed.type)].items():
        value = value_of(kind, before.get(name, ABSENT), typed.texts.get(name, ""))
        if value is not None:
            node[name] = value
    if typed.type == NodeType.RUN:
        overrides = _overrides(typed, before.get("overrides") or {})
        if overrides:
            node["overrides"] = overrides
        if not typed.texts.get("wait"):
            node["wait"] = False
        elif before.get("wait") is True:
            node["wait"] = True
    return node


def _overrides(typed: TypedNode, before: Json) -> Json:
    """What the run has otherwise; what has no field of its own stays as it was."""
    overrides = {name: value for name, value in before.items() if name not in (*OF_RUN, "env")}
    for name, kind in OF_RUN.items():
        value = value_of(kind, before.get(name, ABSENT), typed.texts.get(name, ""))
        if value is not None:
            overrides[name] = value
    env = typed_env(typed.texts, before.get("env", {}), lambda field: f"{field}.{typed.key}")
    return {**overrides, "env": env} if env else overrides


def _address_shown(text: str) -> str:
    return text if text in ("", KEPT_URL) else ""
