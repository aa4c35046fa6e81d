"""A new job as it is filled in step by step: what was typed, as texts by the names of fields, and what Git showed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import StringIO

from app.domain.documents import Json
from app.domain.errors import InvalidValue
from app.domain.job.drafts import JobDraft
from app.domain.job.spec import NAME
from app.web.pages import job_form
from app.web.pages.form_fields import BUILD, GIT, Row, below, rows_of
from app.web.pages.job_form import SOURCES
from app.web.reading import read_value
from app.web.schemas.drafts import job_draft
from app.web.schemas.job import JobForm
from app.web.server_context import ServerContext
from app.web.texts import SECRET

STEPS = {"source": "Source", "build": "Build", "start": "Start", "review": "Review"}
COMMANDS = ("install_command", "build_command", "run_command")
ANSWER = {"git": "cd-promote", "build_service": "cd-promote", "image": "never", "none": "never"}
UNNAMED = "new-job"  # what a job is checked as until it has a name
DECIDING = (
    "mode",
    "root_directory",
    "dockerfile",
    "target",
)  # of the build settings: what is detected by them

_SOURCE = frozenset(
    ["project", "source.type", "source.build_service", "source.image", "source.credential"]
) | frozenset(below("source.git", GIT))
_BUILD = frozenset(below("source.build", BUILD)) | {"builds_in_flight"}
_ALL = (
    frozenset(job_form.FIELDS)
    | frozenset(f"schedule.{name}" for name in job_form.OF_SCHEDULE)
    | frozenset(f"health_checks.{kind}.{name}" for kind in job_form.CHECKS for name in job_form.OF_CHECK)
)
OF_STEP: Mapping[str, frozenset[str]] = {"source": _SOURCE, "build": _BUILD, "start": _ALL | {"name"}}


@dataclass(frozen=True)
class Look:
    """What Git and a look at the repository showed, and `key`, what was asked for.

    `plan` and `dockerfile` are what the repository is built as; without a plan, `problem` says why not. `commands` are
    those that are detected where none is given.
    """

    key: Json
    branches: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sha: str | None = None
    plan: Json | None = None
    dockerfile: str = ""
    problem: str = ""
    types: list[tuple[str, str]] = field(default_factory=list)
    directories: list[tuple[str, str]] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Typed:
    """All that was typed; `rows` hold the values of secrets, which no page shows again."""

    project: str
    given: Mapping[str, str] = field(repr=False)
    rows: Sequence[Row] = field(default=(), repr=False)
    look: Look | None = None

    @classmethod
    def blank(cls, project: str, source: str) -> Typed:
        """A job that nothing is said of yet; one that is built runs what was built, unless somebody says no."""
        given: dict[str, str] = {"name": ""}
        for kind in SOURCES:
            given |= job_form.shown(job_form.blank(kind))[0]
        own = {"source.type": source, "source.git.branch": "", "run_on_image_change": ANSWER[source]}
        return cls(project, given | own)

    @classmethod
    def stored(cls, content: Json) -> Typed:
        rows = [Row(**row) for row in content["rows"]]
        look = content["look"]
        return cls(content["project"], content["given"], rows, None if look is None else Look(**look))

    def content(self) -> Json:
        look = None if self.look is None else asdict(self.look)
        rows = [asdict(row) for row in self.rows]
        return {"project": self.project, "given": dict(self.given), "rows": rows, "look": look}

    @property
    def source(self) -> str:
        return self.given["source.type"]

    @property
    def steps(self) -> list[str]:
        """The steps there are: what is not built here has no build."""
        return [step for step in STEPS if step != "build" or self.source == "git"]

    @property
    def shown(self) -> dict[str, str]:
        """The texts that a page shows: commands as detected where none was given, and no secret."""
        detected = {} if self.look is None else self.look.commands
        shown = {name: text for name, text in self.given.items() if name not in SECRETS}
        for name in COMMANDS:
            at = f"source.build.{name}"
            shown[at] = shown[at] or detected.get(name, "")
        return shown

    @property
    def shown_rows(self) -> list[Row]:
        return [replace(row, value="", is_stored=True) if row.is_hidden else row for row in self.rows]

    @property
    def has_webhook_secret(self) -> bool:
        return bool(self.given.get("source.git.webhook_secret"))

    def definition(self) -> Json:
        """The job as the API takes it. Raises InvalidValue."""
        form = job_form.blank(self.source)
        return {
            **job_form.definition(form, self.given, self.rows),
            "name": self.given["name"].strip() or UNNAMED,
        }

    def draft(self, server: ServerContext) -> JobDraft:
        """Raises InvalidValue or ValidationError."""
        return job_draft(read_value(JobForm, self.definition(), server))


SECRETS = frozenset(name for name, kind in below("source.git", GIT).items() if kind is SECRET)


def filled(typed: Typed, step: str, form: Mapping[str, Sequence[str]]) -> Typed:
    """With what was sent from a step. An empty secret keeps what was typed before.

    Raises InvalidValue at `env_block` for lines that are no variables.
    """
    sent = {name: (form.get(name) or [""])[0] for name in OF_STEP[step]}
    kept = {name for name in SECRETS if name in sent and not sent[name]}
    given = {**typed.given, **{name: text for name, text in sent.items() if name not in kept}}
    project = sent.get("project") or typed.project
    if given["source.type"] not in SOURCES:
        given["source.type"] = "git"
    if given["source.type"] != typed.source and given["run_on_image_change"] == ANSWER[typed.source]:
        given["run_on_image_change"] = ANSWER[given["source.type"]]
    if step == "build":
        given |= _as_detected(typed, sent)
    if step != "start":
        return replace(typed, project=project, given=given)
    return replace(typed, given=given, rows=_rows(typed, form))


def _as_detected(typed: Typed, sent: Mapping[str, str]) -> dict[str, str]:
    """A command that is as it was detected is left to detection, and so goes on following the repository."""
    detected = {} if typed.look is None else typed.look.commands
    at = {name: f"source.build.{name}" for name in COMMANDS}
    return {
        path: "" if sent[path].strip() == detected.get(name, "").strip() else sent[path]
        for name, path in at.items()
    }


def _rows(typed: Typed, form: Mapping[str, Sequence[str]]) -> list[Row]:
    before = {row.name: row for row in typed.rows}
    rows = []
    for row in [*rows_of(form, {}), *_pasted(form)]:
        known = before.get(row.name)
        keeps = row.is_hidden and not row.value and known is not None and known.is_hidden
        rows.append(replace(row, value=known.value if keeps and known else row.value, is_stored=False))
    return rows


def _pasted(form: Mapping[str, Sequence[str]]) -> list[Row]:
    """Variables pasted as the text of a `.env` file."""
    text = (form.get("env_block") or [""])[0]
    if not text.strip():
        return []
    from dotenv.parser import parse_stream

    is_secret = bool((form.get("env_block_secret") or [""])[0])
    rows = []
    for line in parse_stream(StringIO(text)):
        if line.error or (line.key is not None and line.value is None):
            first = line.original.string.strip().partition("\n")[0]
            number = line.original.line
            shown = f"line {number}" if is_secret else f"line {number} ({first[:40]})"
            raise InvalidValue("env_block", f"env_block has no NAME=value in {shown}: correct or remove it.")
        if line.key is not None:
            rows.append(Row(line.key, line.value or "", is_secret))
    return rows


def suggested_name(url: str, taken: Collection[str]) -> str:
    """A name for a job from its repository's address, unlike those that are taken; empty where there is none."""
    last = re.split(r"[/:]", url.strip().rstrip("/"))[-1].removesuffix(".git").lower()
    base = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:50].strip("-")
    if not NAME.fullmatch(base):
        return ""
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
