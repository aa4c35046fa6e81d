"""`jobyard.yaml` of a repository, applied to the jobs of the build service that takes it: whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from app.commands import pausing
from app.domain.documents import Json
from app.domain.errors import Contradictions, InvalidValue, UserError, require_consistent
from app.domain.job.records import Job, Source
from app.domain.references import Ours
from app.domain.repository_file import FILE, FileOutcome, FromFile, file_at
from app.runtime.ports import Names, Vault
from app.store import apps, jobs, pipelines, projects, secret_groups
from app.store.database import Tx
from app.store.projects import Project
from app.web.declared.applying import Application, Change
from app.web.declared.documents import Declared, Item
from app.web.declared.jobs import JOBS
from app.web.declared.kinds import Kind, Scene, or_none
from app.web.declared.releases import APPS, PIPELINES
from app.web.declared.shared import BUILD_SERVICES, SECRET_GROUPS
from app.web.declared.unknown_fields import with_hint
from app.web.form_rules import FormRules
from app.web.schemas.job import JobForm
from app.web.schemas.repository_file import FileJobForm, RepositoryFileForm
from app.web.validation_messages import field_errors

if TYPE_CHECKING:
    from app.web.declared.texts import Read  # with the YAML library, which few servers need

SAID = 5  # faults that are told in full
NOT_OF_A_JOB = ("source", "secret_groups")
ENV = "env."


@dataclass(frozen=True)
class RepositoryFile:
    """Applies the files of an installation's repositories."""

    rules: FormRules
    names: Names
    vault: Vault
    ours: Ours

    def apply(self, tx: Tx, source: Source, sha: str, text: str, now: datetime) -> FileOutcome:
        """Make the jobs of a build service what the text says, as part of a transaction.

        One that is wrong changes nothing, and is answered with sentences that name each line and field.
        """
        from app.web.declared.texts import read_text

        project = projects.with_id(tx, source.project_id)
        scene = Scene(
            self.rules,
            self.names,
            self.vault,
            self.ours,
            file_at(sha),
            now,
            lambda _right, _project_id: None,  # who let the file speak for the project had them
            lambda tx, name: projects.named(tx, name),
        )
        read: Read | None = None
        try:
            read = read_text(text, FILE)
            form, raw = _checked(read)
            with tx.begin_nested():
                return FileOutcome(
                    changed=list(_Applied(tx, scene, project, source, sha, form, raw).changed())
                )
        except Contradictions as error:
            return FileOutcome(_wrong(error.errors, read))
        except InvalidValue as error:
            return FileOutcome(_wrong([(error.field, str(error))], read))
        except UserError as error:
            return FileOutcome(_wrong([("", str(error))], read))


def check(text: str, name: str) -> list[tuple[int | None, str]]:
    """Everything that is wrong with a file as far as it can be seen without a server: the line, if it is of one, and a
    sentence.
    """
    from app.web.declared.texts import read_text

    try:
        read = read_text(text, name)
    except UserError as error:
        return [(None, str(error))]
    try:
        _checked(read)
    except Contradictions as error:
        return [(read.line_of(f"0.{place}"), said) for place, said in error.errors]
    return []


def _checked(read: Read) -> tuple[RepositoryFileForm, Json]:
    """Raises Contradictions with everything that is wrong by itself."""
    documents = read.documents
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Contradictions([("", f"{FILE} must be one document with jobs.")])
    raw: Json = documents[0]
    try:
        form = RepositoryFileForm.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        faults = [
            (each["field"], with_hint(each["message"], each["field"], RepositoryFileForm))
            for each in field_errors(error)
        ]
        raise Contradictions(faults) from None
    names = [job.name for job in form.jobs]
    require_consistent(
        (f"jobs.{number}.name", f"is that of another job as well, {name}")
        for number, name in enumerate(names)
        if name in names[:number]
    )
    return form, raw


def _wrong(faults: Any, read: Read | None) -> str:
    """What is wrong with a file, with its lines."""
    said = []
    for place, message in list(faults)[:SAID]:
        line = None if read is None or not place else read.line_of(f"0.{place}")
        said.append(message if line is None else f"line {line}: {message}")
    more = len(faults) - len(said)
    others = f" And {more} more." if more > 0 else ""
    return " ".join(said) + others


@dataclass
class _Applied:
    tx: Tx
    scene: Scene
    project: Project
    source: Source
    sha: str
    form: RepositoryFileForm
    raw: Json

    def changed(self) -> Iterator[tuple[int, str]]:
        """Apply it; yields each job that was made or changed, with the sentence for it. Raises Contradictions."""
        before = {job.name: job for job in jobs.of_source(self.tx, self.source.id)}
        require_consistent(self._strangers(before))
        for job in before.values():  # nothing is held against the file itself
            jobs.set_from_file(self.tx, job.id, None)
        declared = Declared(items=list(self._items(before)))
        changes = Application(self.tx, self.scene, declared).changes(prune=False)
        yield from self._kept(before, {change.name: change for change in changes if change.kind == JOBS.word})
        self._drop(before)

    def _strangers(self, ours: Mapping[str, Job]) -> Iterator[tuple[str, str]]:
        """Names that the file may not take: of jobs that are built from something else, and of apps of such jobs."""
        for number, form in enumerate(self.form.jobs):
            if form.name not in ours and jobs.find(self.tx, self.project.name, form.name) is not None:
                rule = f"is that of a job that is not built from {self.source.name}: take another, or delete that job"
                yield f"jobs.{number}.name", rule
        if self.form.app is not None:
            name = self.form.app.name
            known = or_none(lambda: apps.named(self.tx, self.project.name, name))
            if known is not None and any(member.job not in ours for member in known.members):
                yield "app.name", f"is that of an app with jobs that are not built from {self.source.name}"

    def _items(self, before: Mapping[str, Job]) -> Iterator[Item]:
        if self.form.build is not None:
            yield self._item(BUILD_SERVICES, self.source.name or "", "build", {"build": self.raw["build"]})
        for number, form in enumerate(self.form.jobs):
            fields = self._fields(form, self.raw["jobs"][number], before.get(form.name))
            yield self._item(JOBS, form.name, f"jobs.{number}", fields)
        yield from self._groups(before)
        components = [form.name for form in self.form.jobs]
        if (app := self.form.app) is not None:
            fields = {"jobs": app.jobs or components, "hooks": app.hooks}
            yield self._item(APPS, app.name, "app", fields)
            components = [app.name]
        if self.form.stage is not None:
            yield self._item(PIPELINES, self.form.stage.pipeline, "stage", self._stages(components))

    def _item(self, kind: Kind, name: str, place: str, fields: Json) -> Item:
        return Item(kind, self.project.name, name, place, {**fields, "name": name})

    def _fields(self, form: FileJobForm, raw: Json, known: Job | None) -> Json:
        """What is given of a job; what an earlier file gave and this doesn't is as it is without."""
        given = {name: value for name, value in raw.items() if name not in NOT_OF_A_JOB}
        if form.schedule is not None:
            given["schedule"] = form.schedule.model_dump(mode="json")
        held = () if known is None or known.from_file is None else known.from_file.fields
        env = dict(given.get("env", {}))
        for field in held:
            if field.startswith(ENV):
                env.setdefault(field.removeprefix(ENV), None)
            elif field not in given:
                given[field] = JobForm.model_fields[field].get_default(call_default_factory=True)
        return {
            **given,
            "env": env,
            "source": {"type": "build_service", "build_service": self.source.name},
        }

    def _groups(self, before: Mapping[str, Job]) -> Iterator[Item]:
        """The secret groups that jobs join, or leave as an earlier file had them in it."""
        wanted = {form.name: set(form.secret_groups) for form in self.form.jobs}
        had = {
            name: set(job.from_file.groups) if job.from_file and not job.from_file.removed else set()
            for name, job in before.items()
        }
        places = {
            group: f"jobs.{number}.secret_groups"
            for number, form in enumerate(self.form.jobs)
            for group in form.secret_groups
        }
        concerned = set(places).union(*had.values()) if had else set(places)
        for name in sorted(concerned):
            group = or_none(lambda name=name: secret_groups.named(self.tx, self.project.id, name))  # type: ignore[misc]
            place = places.get(name, "jobs")
            if group is None and name not in places:
                continue
            if group is None:
                sentence = f"{place} must name secret groups of project {self.project.name}, not {name!r}."
                raise Contradictions([(place, sentence)])
            leaving = {
                job for job, groups in had.items() if name in groups and name not in wanted.get(job, set())
            }
            joining = [job for job, groups in wanted.items() if name in groups and job not in group.jobs]
            members = [job for job in group.jobs if job not in leaving] + joining
            yield self._item(SECRET_GROUPS, name, place, {"jobs": members})

    def _stages(self, components: list[str]) -> Json:
        """The stages of the pipeline, with the components in the one that they are to be in."""
        assert self.form.stage is not None
        wanted = self.form.stage
        pipeline = or_none(lambda: pipelines.named(self.tx, self.project.name, wanted.pipeline))
        if pipeline is None or wanted.stage not in [stage.name for stage in pipeline.stages]:
            what = "pipeline" if pipeline is None else "stage"
            where = (
                f"of project {self.project.name}" if pipeline is None else f"of pipeline {wanted.pipeline}"
            )
            given = getattr(wanted, what)
            raise InvalidValue(f"stage.{what}", f"stage.{what} must name a {what} {where}, not {given!r}.")
        stages = []
        for stage in pipeline.stages:
            names = [each.name for each in stage.components]
            if stage.name == wanted.stage:
                names += [each for each in components if each not in names]
            else:
                names = [each for each in names if each not in components]
            stages.append({"name": stage.name, "components": names})
        return {"stages": stages}

    def _kept(self, before: Mapping[str, Job], changes: Mapping[str, Change]) -> Iterator[tuple[int, str]]:
        """Say of each job what the file sets of it; one that is there again goes on."""
        for number, form in enumerate(self.form.jobs):
            raw, known, change = self.raw["jobs"][number], before.get(form.name), changes[form.name]
            job = jobs.named(self.tx, self.project.name, form.name)
            fields = [name for name in raw if name not in ("name", "env", *NOT_OF_A_JOB)]
            fields += [f"{ENV}{name}" for name in raw.get("env", {})]
            held = FromFile(self.source.id, self.sha, tuple(fields), tuple(form.secret_groups))
            jobs.set_from_file(self.tx, job.id, held)
            if known is not None and known.from_file and known.from_file.removed and not form.paused:
                pausing.resume(self.tx, self.scene.names, job, who=self.scene.who, now=self.scene.now)
            if change.what == "created":
                yield job.id, f"Made by {held.called}."
            elif change.what == "changed":
                what = ", ".join(dict.fromkeys(each.field for each in change.fields))
                yield job.id, f"Changed by {held.called}: {what}."

    def _drop(self, before: Mapping[str, Job]) -> None:
        """Pause what an earlier file had and this one hasn't: it is deleted by people alone."""
        names = {form.name for form in self.form.jobs}
        for name, job in before.items():
            if name in names or job.from_file is None:
                continue
            if not job.from_file.removed:
                who = f"{self.scene.who}, which does not have it any more"
                pausing.pause(self.tx, self.scene.names, job, who=who, now=self.scene.now)
            left = FromFile(self.source.id, self.sha, removed=True)
            jobs.set_from_file(self.tx, job.id, left)
