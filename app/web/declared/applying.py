"""What a file declares, made so in one transaction: all of it, or nothing and a list of everything that is wrong.

Each thing is saved in a savepoint. What fails is tried again as long as anything else succeeds, so that the order of
things in a file, and what gives way to what, don't matter. A dry run does the same and undoes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from app.commands.job_edits import FieldChange
from app.domain.documents import Json
from app.domain.errors import Conflict, Contradictions, NotFound, UserError
from app.store.audit_recorder import told
from app.store.database import Database, Tx
from app.store.projects import Project
from app.web.declared.differences import differences
from app.web.declared.documents import KINDS, OF_SECTION, Declared, Fault, Item, label_of
from app.web.declared.kinds import Kind, Scene
from app.web.declared.projects import save_settings, shown_settings
from app.web.declared.unknown_fields import with_suggestions
from app.web.patching import merge_patch
from app.web.problems import problem_of

What = Literal["created", "changed", "unchanged", "deleted"]
T = TypeVar("T")
NAMED = 5  # things in a sentence


@dataclass(frozen=True)
class Change:
    """What became of a thing, or would: `kind` is its word, such as `build service`."""

    kind: str
    project: str
    name: str
    what: What
    fields: Sequence[FieldChange] = ()
    warnings: Sequence[str] = ()

    @property
    def label(self) -> str:
        return (
            f"project {self.project}" if self.kind == "project" else f"{self.kind} {self.project}/{self.name}"
        )


class _Undone(Exception):
    """Ends the transaction of a dry run."""


def apply(
    db: Database, scene: Scene, declared: Declared, *, prune: bool, dry_run: bool, confirmed: Collection[str]
) -> list[Change]:
    """Do what is declared, in a transaction of its own; `prune` deletes what a section that the file has leaves out.

    Raises Contradictions with everything that is wrong, by its place, and Conflict unless `confirmed` names just what
    is deleted.
    """
    changes: list[Change] = []
    try:
        with db.write() as tx:
            changes = Application(tx, scene, declared).changes(prune=prune)
            if dry_run or all(change.what == "unchanged" for change in changes):
                raise _Undone
            _require_confirmed(changes, confirmed)
            told({}, _summary(changes))
    except _Undone:
        pass
    return changes


def _require_confirmed(changes: Sequence[Change], confirmed: Collection[str]) -> None:
    gone = [change.label for change in changes if change.what == "deleted"]
    if set(gone) != set(confirmed):
        what = joined(gone) if gone else "nothing"
        raise Conflict(f"This would delete {what}: confirm must name just that, and nothing was applied.")


def joined(labels: Sequence[str]) -> str:
    more = len(labels) - NAMED
    return ", ".join(labels[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _summary(changes: Sequence[Change]) -> Json:
    """What the audit log tells beside the rows: which things were made, changed and deleted."""
    found: dict[str, list[str]] = {}
    for change in changes:
        if change.what != "unchanged":
            found.setdefault(change.what, []).append(change.label)
    return dict(found)


@dataclass
class Application:
    tx: Tx
    scene: Scene
    declared: Declared
    projects: dict[str, Project] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # by label

    def changes(self, *, prune: bool) -> list[Change]:
        found = [each for item in self.declared.of(None) if (each := self._settings(item)) is not None]
        left = [item for kind in KINDS for item in self.declared.of(kind) if self._has_project(item)]
        surplus = list(self._surplus()) if prune else []
        deleted = self._each_possible(surplus, self._removed)
        found += self._each_possible(left, self._saved)
        deleted += self._each_possible(surplus, self._removed)
        self._require_faultless(surplus)
        return found + deleted

    def _has_project(self, item: Item) -> bool:
        if item.project in self.projects:
            return True
        try:
            self.projects[item.project] = self.scene.project(self.tx, item.project)
        except NotFound as error:
            self.faults[item.label] = [(item.place, f"{item.label}: {error}")]
            return False
        return True

    def _settings(self, item: Item) -> Change | None:
        known: Project | None
        try:
            known = self.scene.project(self.tx, item.project)
        except NotFound:
            known = None
        before = None if known is None else shown_settings(known)
        saved = self._attempt(
            item, lambda: save_settings(self.tx, self.scene, item.project, known, item.fields)
        )
        if saved is None:
            return None
        self.projects[item.project] = saved
        return _change("project", item, before, shown_settings(saved), ())

    def _surplus(self) -> Iterator[Item]:
        """What there is of each section that the file has, and the file doesn't name; what others hold comes last."""
        named = {item.label for item in self.declared.items}
        for section, kind in reversed(OF_SECTION.items()):
            for project in sorted(each for each, its in self.declared.sections if its == section):
                if project not in self.projects:
                    continue
                for name in kind.names(self.tx, self.projects[project]):
                    if label_of(kind, project, name) not in named:
                        yield Item(kind, project, name, "", {})

    def _each_possible(self, items: list[Item], do: Callable[[Item, Kind], Change]) -> list[Change]:
        """Do it to each of the items, which are taken out of the list; those that fail stay in it."""
        done: dict[str, Change] = {}
        order = [item.label for item in items]
        progress = True
        while items and progress:
            progress = False
            for item in list(items):
                assert item.kind is not None
                kind = item.kind
                change = self._attempt(item, lambda item=item, kind=kind: do(item, kind))  # type: ignore[misc]
                if change is not None:
                    items.remove(item)
                    done[item.label] = change
                    progress = True
        return [done[label] for label in order if label in done]

    def _saved(self, item: Item, kind: Kind) -> Change:
        project = self.projects[item.project]
        self.scene.require(kind.right, project.id)
        before = kind.shown(self.tx, project, item.name)
        if before is not None and merge_patch(before, item.fields) == before:
            return Change(kind.word, item.project, item.name, "unchanged")
        warnings = kind.save(self.tx, self.scene, project, item.fields)
        after = kind.shown(self.tx, project, item.name)
        assert after is not None
        return _change(kind.word, item, before, after, warnings)

    def _removed(self, item: Item, kind: Kind) -> Change:
        project = self.projects[item.project]
        self.scene.require(kind.right, project.id)
        kind.remove(self.tx, self.scene, project, item.name)
        self.tx.flush()
        return Change(kind.word, item.project, item.name, "deleted")

    def _attempt(self, item: Item, do: Callable[[], T]) -> T | None:
        """What `do` returns; None where it fails, which is kept as the faults of the item."""
        self.faults.pop(item.label, None)
        try:
            with self.tx.begin_nested():
                return do()
        except (UserError, ValidationError) as error:
            self.faults[item.label] = list(_faults_of(error, item))
            return None

    def _require_faultless(self, surplus: Sequence[Item]) -> None:
        """Raises Contradictions with all faults but those of things that only lack another which has some."""
        wrong = {item.name for item in self.declared.items if item.label in self.faults}
        kept = {item.label for item in surplus}
        own: list[Fault] = []
        for item in self.declared.items:
            faults = self.faults.get(item.label, ())
            of_others = [fault for fault in faults if (wrong - {item.name}) & _mentioned(item.fields, fault)]
            own += [fault for fault in faults if fault not in of_others]
            own += self._missing_secrets(item) if of_others else ()
        stuck = [fault for label in kept for fault in self.faults.get(label, ())] if not own else []
        found = [*self.declared.faults, *own, *stuck]
        if found:
            raise Contradictions(found)

    def _missing_secrets(self, item: Item) -> Iterator[Fault]:
        """Of something new that was not looked at so far, as it lacks another: so that all secrets are asked for at
        once.
        """
        env = item.fields.get("env")
        if item.kind is None or not isinstance(env, dict):
            return
        if item.kind.shown(self.tx, self.projects[item.project], item.name) is not None:
            return
        for name, entry in env.items():
            if (
                isinstance(entry, dict)
                and entry.get("value") is None
                and entry.get("from", "value") == "value"
            ):
                field = f"env.{name}.value"
                yield f"{item.place}.{field}", f"{item.label}: {field} is missing: give the variable's text."


def _mentioned(fields: Json, fault: Fault) -> set[str]:
    """The names that a thing and its fault mention: it may be wrong only because another is."""
    words = set(re.findall(r"[\w.-]+", fault[1].partition(": ")[2]))
    return {text for text in _texts(fields) if text in words}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for each in value.values():
                yield from _texts(each)


def _faults_of(error: Exception, item: Item) -> Iterator[Fault]:
    problem = problem_of(error)
    if not problem.errors:
        yield item.place, f"{item.label}: {problem.detail}"
    for each in problem.errors:
        said, at = each["message"], each["field"]
        said = said if at in said else f"{at}: {said}"
        place = f"{item.place}.{at}" if item.place else item.label
        yield place, f"{item.label}: {with_suggestions(said, at, item.kind)}"


def _change(kind: str, item: Item, before: Json | None, after: Json, warnings: Sequence[str]) -> Change:
    fields = differences(before, after, item.fields)
    what: What = "created" if before is None else "changed" if fields else "unchanged"
    return Change(kind, item.project, item.name, what, fields, warnings)
