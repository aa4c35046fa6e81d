"""Debian packages that Python packages need: to be built where they bring no wheel, and to run."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builders.manifests import read_json, read_toml
from builders.runtimes.python_packages import Installation
from builders.runtimes.python_project import Project, table
from builders.source import SourceTree

_COMPILER = ("gcc", "libc6-dev")


@dataclass(frozen=True)
class SystemPackages:
    """`build` is in the build stage alone, `run` in the image; `reasons` say what asks for them."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


# By the normalised name, with an extra where it is that which needs them. What has wheels for all needs none.
_KNOWN: Mapping[str, SystemPackages] = {
    "psycopg2": SystemPackages((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "psycopg": SystemPackages((), ("libpq5",)),
    "psycopg[c]": SystemPackages((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "psycopg-c": SystemPackages((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "mysqlclient": SystemPackages((*_COMPILER, "default-libmysqlclient-dev", "pkg-config"), ("libmariadb3",)),
    "pycairo": SystemPackages((*_COMPILER, "libcairo2-dev", "pkg-config"), ("libcairo2",)),
    "cairocffi": SystemPackages((), ("libcairo2",)),
    "cairosvg": SystemPackages((), ("libcairo2",)),
    "weasyprint": SystemPackages((), ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")),
    "python-ldap": SystemPackages(
        (*_COMPILER, "libldap2-dev", "libsasl2-dev"), ("libldap-common", "libsasl2-2")
    ),
    "pyaudio": SystemPackages((*_COMPILER, "portaudio19-dev"), ("libportaudio2",)),
    "pdf2image": SystemPackages((), ("poppler-utils",)),
    "pytesseract": SystemPackages((), ("tesseract-ocr",)),
    "pydub": SystemPackages((), ("ffmpeg",)),
    "ffmpeg-python": SystemPackages((), ("ffmpeg",)),
    "graphviz": SystemPackages((), ("graphviz",)),
    "gitpython": SystemPackages((), ("git",)),
    "python-magic": SystemPackages((), ("libmagic1",)),
    "pyodbc": SystemPackages((), ("unixodbc",)),
    "opencv-python": SystemPackages((), ("libgl1", "libglib2.0-0")),
    "uwsgi": SystemPackages(_COMPILER),
    "pysqlite3": SystemPackages((*_COMPILER, "libsqlite3-dev"), ("libsqlite3-0",)),
}
_WITHOUT = {"psycopg": ("psycopg-binary", "psycopg[binary]"), "psycopg2": ("psycopg2-binary",)}
_REQUIREMENT = re.compile(
    r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(?=[<>=!~;@\s(,]|$)"
)
_VCS = re.compile(r"(?:^|[\s@'\"=])(git|hg)\+(?:https?|ssh|file)://")
_LOCKED = re.compile(r'^name = "([^"]+)"$', re.MULTILINE)


def system_packages_of(tree: SourceTree, project: Project, installation: Installation) -> SystemPackages:
    """Return what the packages need that a tree's manifests and locks name. Requirements are parsed, not searched."""
    lines = list(_requirements(tree, project, installation))
    names = {name for line in lines for name in _names(line)} | set(_locked(tree))
    needed = [name for name in _KNOWN if name in names and not names.intersection(_WITHOUT.get(name, ()))]
    tools = sorted({tool for line in lines for tool in _VCS.findall(line)} | _tools_of_locks(tree))
    clients = {"git": "git", "hg": "mercurial"}
    return SystemPackages(
        _all([*(each for name in needed for each in _KNOWN[name].build), *(clients[tool] for tool in tools)]),
        _all(each for name in needed for each in _KNOWN[name].run),
        (
            *(
                f"{name} needs {', '.join(_all((*_KNOWN[name].build, *_KNOWN[name].run)))}."
                for name in needed
            ),
            *(f"A requirement comes from a repository: the build has {clients[tool]}." for tool in tools),
        ),
    )


def _requirements(tree: SourceTree, project: Project, installation: Installation) -> Iterable[str]:
    """Yield each line that may be a requirement."""
    for path in _all((*installation.files, "requirements.txt")):
        if path.endswith((".txt", ".in")):
            yield from (tree.read_text(path) or "").splitlines()
    listed = project.metadata.get("dependencies")
    yield from map(str, listed) if isinstance(listed, list) else ()
    yield from (word.strip("'\"") for command in installation.dependencies for word in command.split())
    for tables in (
        table(project.tool("poetry"), "dependencies"),
        table(read_toml(tree, "Pipfile"), "packages"),
    ):
        for name, value in tables.items():
            yield f"{name} @ {_address(value)}" if _address(value) else f"{name}{_extras(value)}"


def _names(line: str) -> list[str]:
    found = _REQUIREMENT.match(line.partition("#")[0])
    if found is None:
        return []
    name = _normalised(found[1])
    return [name, *(f"{name}[{extra.strip().lower()}]" for extra in (found[2] or "").split(","))]


def _locked(tree: SourceTree) -> Iterable[str]:
    """Yield the names of what locks pin, also of what others need."""
    for path in ("uv.lock", "poetry.lock", "pdm.lock"):
        yield from map(
            _normalised, _LOCKED.findall(tree.read_beginning(path) or "" if path in tree.root_files else "")
        )
    if "Pipfile.lock" in tree.root_files:
        yield from map(_normalised, table(read_json(tree, "Pipfile.lock"), "default"))


def _tools_of_locks(tree: SourceTree) -> set[str]:
    locks = [path for path in ("uv.lock", "poetry.lock") if path in tree.root_files]
    is_from_git = any(
        re.search(r'source = \{ git = |^type = "git"$', tree.read_beginning(path) or "", re.M)
        for path in locks
    )
    pinned = "Pipfile.lock" in tree.root_files and '"git":' in json.dumps(read_json(tree, "Pipfile.lock"))
    return {"git"} if is_from_git or pinned else set()


def _address(value: object) -> str:
    """Return where a table of Pipfile or Poetry says that a package comes from, as pip writes it."""
    address = value.get("git") if isinstance(value, dict) else None
    return f"git+{address}" if isinstance(address, str) else ""


def _extras(value: object) -> str:
    extras = value.get("extras") if isinstance(value, dict) else None
    return f"[{','.join(map(str, extras))}]" if isinstance(extras, list) else ""


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _all(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
