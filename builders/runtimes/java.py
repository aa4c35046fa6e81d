"""Java and Kotlin by Maven: what is compiled and what it depends on, run by its main class on a small image."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from builders import layout
from builders.commands import join
from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.manifests import first_line
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.effects import SERVES_FOR_EVER
from builders.runtimes.releases import tool_pins
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start

MANIFEST = "pom.xml"
RELEASES = (8, 11, 17, 21, 25)  # that are maintained for years
DEFAULT = 21
CACHE = Cache("maven", "/root/.m2")
DEPENDENCIES = "target/dependency"
PACKAGE = "mvn --batch-mode --no-transfer-progress -DskipTests package"
COPY_DEPENDENCIES = f"dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory={DEPENDENCIES}"
# Of the memory that the job may use, as the heap's default is a quarter; and an end instead of a slow one.
OPTIONS = ("-XX:MaxRAMPercentage=75", "-XX:+ExitOnOutOfMemoryError")
MOST_SOURCES = 2000
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_MODULE = re.compile(r"<module>\s*([^<\s]+)\s*</module>")
_MAIN_CLASS = re.compile(r"<(?:mainClass|start-class|exec\.mainClass)>\s*([\w.$]+)\s*</")
_SERVERS = re.compile(
    r"<artifactId>\s*(spring-boot-starter-(?:web|webflux|jetty|undertow)|javalin|spark-core|jetty-server|vertx-web"
    r"|micronaut-http-server[\w-]*|quarkus-(?:rest|resteasy|vertx-http)[\w-]*|dropwizard-core|ktor-server[\w-]*"
    r"|helidon-[\w-]*webserver[\w-]*|undertow-core|tomcat-embed-core)\s*</"
)
_RELEASE = re.compile(
    r"<(maven\.compiler\.release|java\.version|maven\.compiler\.target|maven\.compiler\.source|release|target)>"
    r"\s*(?:1\.)?(\d+)[^<]*</"
)
_JAVA_MAIN = re.compile(r"\bstatic\s+(?:final\s+)?void\s+main\s*\(")
_KOTLIN_MAIN = re.compile(r"^(?:suspend\s+)?fun\s+main\s*\(", re.MULTILINE)
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Main:
    """A main class, and the directory of its module (empty for the root's)."""

    name: str
    module: str

    @property
    def command(self) -> str:
        below = f"{self.module}/" if self.module else ""
        return join(("java", *OPTIONS, "-cp", f"{below}target/classes:{below}{DEPENDENCIES}/*", self.name))


def evidence(tree: SourceTree) -> Evidence | None:
    return first_marker(tree, (MANIFEST,), Strength.MANIFEST)


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    release, source, warnings = choose_version(tree)
    start = choose_start(tree, settings, _offers(tree))
    build = settings.build_command or f"{PACKAGE} {COPY_DEPENDENCIES}"
    return BuildPlan(
        runtime="java",
        version=str(release),
        version_source=source,
        package_manager="maven",
        install_command=settings.install_command,
        build_command=build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Java {release}: {source}.",
            "Packages with Maven, without its tests, and puts what it depends on beside it.",
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(*warnings, *start.warnings),
        stages=_stages(tree, release, settings.install_command, build),
    )


def choose_version(tree: SourceTree) -> tuple[int, str, tuple[str, ...]]:
    """Return the release: the one asked for, or the next that is maintained for years; what is newer is tried."""
    asked = list(_asked(tree))
    if not asked:
        return DEFAULT, "the default, as nothing asks for another", ()
    source, text = asked[0]
    number = _number(text)
    if number is None:
        raise PlanError(f"{source} {text!r} is not a Java version such as {DEFAULT}.")
    release = next((each for each in RELEASES if each >= number), number)
    others = [(where, said) for where, said in asked[1:] if (_number(said) or number) > release]
    warnings = tuple(
        f"{source} says {text}, but {where} says {said}: {source} counts." for where, said in others
    )
    if release > max(RELEASES):
        warnings += (f"Java {release} ({source}) is newer than what is known here: its image is tried.",)
    return release, f"{source} {text}", warnings


def _asked(tree: SourceTree) -> Iterator[tuple[str, str]]:
    properties = re.search(
        r"^java\.runtime\.version\s*=\s*(\S+)", tree.read_head("system.properties") or "", re.MULTILINE
    )
    if properties:
        yield "system.properties", properties[1]
    if pinned := first_line(tree, ".java-version"):
        yield ".java-version", pinned
    sdkman = re.search(r"^java=(\S+)", tree.read_head(".sdkmanrc") or "", re.MULTILINE)
    if sdkman:
        yield ".sdkmanrc", sdkman[1]
    yield from tool_pins(tree, ("java",))
    declared = _RELEASE.search(_pom(tree, ""))
    if declared:
        yield f"{declared[1]} of {MANIFEST}", declared[2]


def _number(text: str) -> int | None:
    """Return the release of `21`, `1.8`, `21.0.2-tem` or `temurin-21.0.2+13`."""
    found = re.search(r"(?:^|[-@])(?:1\.)?(\d{1,2})(?![\d])", text)
    return int(found[1]) if found else None


def _pom(tree: SourceTree, module: str) -> str:
    return _COMMENT.sub("", tree.read_text(f"{module}/{MANIFEST}" if module else MANIFEST) or "")


def modules_of(tree: SourceTree) -> tuple[str, ...]:
    """Return the directories of the modules, the root's first as an empty one."""
    found = [""]
    for module in found:
        for name in _MODULE.findall(_pom(tree, module)):
            path = posixpath.normpath(f"{module}/{name}".strip("/").removesuffix(f"/{MANIFEST}"))
            if path != "." and path not in found and tree.has(f"{path}/{MANIFEST}"):
                found.append(path)
    return tuple(found)


def _offers(tree: SourceTree) -> Offers:
    mains, notes = [], []
    declared = None
    for module in modules_of(tree):
        pom = _pom(tree, module)
        found = list(mains_of(tree, module))
        named = _MAIN_CLASS.search(pom)
        server = _SERVERS.search(pom)
        mains += found
        if server and (found or named):
            notes.append(f"{named[1] if named else found[0].name} {SERVES_FOR_EVER} ({server[1]})")
        elif named:
            where = f"{module}/{MANIFEST}" if module else MANIFEST
            declared = declared or Option(Main(named[1], module).command, f"{where} names the main class")
        elif len(found) == 1 and declared is None:
            declared = Option(found[0].command, f"{found[0].name} is the only main class of its module")
    return Offers(declared=declared, candidates=[each.name for each in mains], notes=notes)


def mains_of(tree: SourceTree, module: str) -> Iterator[Main]:
    for language, suffix in (("java", "java"), ("kotlin", "kt"), ("java", "kt")):
        sources = tree.subtree(
            f"{module}/src/main/{language}".lstrip("/")
        )  # packages are deep: looked at from here
        paths = sorted(sources.glob(f"**/*.{suffix}"))[:MOST_SOURCES] if sources else ()
        for path in paths:
            text = (sources.read_text(path) if sources else None) or ""
            if (_KOTLIN_MAIN if suffix == "kt" else _JAVA_MAIN).search(text):
                yield Main(_class_of(path, text), module)


def _class_of(path: str, text: str) -> str:
    """Return the full name of the class of a file; Kotlin makes one of the file's name."""
    name, _, suffix = path.rpartition("/")[2].rpartition(".")
    name = f"{name[0].upper()}{name[1:]}Kt" if suffix == "kt" else name
    package = _PACKAGE.search(text)
    return f"{package[1]}.{name}" if package else name


def _stages(tree: SourceTree, release: int, install: str | None, build: str) -> tuple[Stage, ...]:
    steps: list[Instruction] = [*layout.system_packages(tree), Workdir(WORKDIR), Copy((".",), "./")]
    steps += [Run((install,), caches=(CACHE,))] if install else []
    steps += [Run((build,), phase="build", caches=(CACHE,))]
    final: list[Instruction] = [
        *layout.system_packages(tree),
        Env({"HOME": layout.HOME}),
        layout.source_from_build(),
        Workdir(WORKDIR),
    ]
    return Stage(f"maven:3-eclipse-temurin-{release}", tuple(steps), "build"), Stage(
        f"eclipse-temurin:{release}-jre", tuple(final)
    )


RUNTIME = Runtime(
    "java",
    "Java",
    evidence,
    plan,
    frozenset({"java", "mvn"}),
    signs=(MANIFEST,),
    versions=tuple(map(str, RELEASES)),
)
