"""Ruby: gems by Bundler, then what a Rakefile or a file at the root does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders import layout
from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.manifests import first_line
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.releases import Known, Language, Release, is_latest, tool_pins
from builders.runtimes.ruby_start import CONVENTIONAL, offers_of
from builders.source import SourceTree
from builders.start import choose_start
from builders.versions import dotted

RUBY = Language(
    "Ruby",
    "ruby",
    {
        (3, 2): Known("bookworm", "2026-03-31"),
        (3, 3): Known("trixie", "2027-03-31"),
        (3, 4): Known("trixie", "2028-03-31"),
        (4, 0): Known("trixie", "2029-03-31"),
    },
    default=(3, 4),
)
MANIFESTS = ("Gemfile", "gems.rb")
PIN = ".ruby-version"
GEMS = "/usr/local/bundle"  # where the public images have them
GEM_CACHE = Cache("bundle", "/root/.bundle/cache")
# Bundler looks in the image, too, for what it isn't told to leave out.
ENVIRONMENT = {"BUNDLE_WITHOUT": "development:test", "LANG": "C.UTF-8"}
# Debian's packages that gems need as they run, by the gem; what builds them is in the whole image.
SYSTEM: dict[str, tuple[str, ...]] = {
    "pg": ("libpq5",),
    "mysql2": ("libmariadb3",),
    "rmagick": ("imagemagick",),
    "mini_magick": ("imagemagick",),
    "ruby-vips": ("libvips42t64",),
    "git": ("git",),
}
_NEEDS_SOURCE = re.compile(
    r"^\s*gemspec\b|\bpath:|:path\s*=>|eval_gemfile|require_relative|File\.|Dir\[", re.MULTILINE
)
_RUBY_LINE = re.compile(r"^\s*ruby\s*\(?\s*((?:['\"][^'\"]+['\"]\s*,?\s*)+)", re.MULTILINE)
_LOCKED_RUBY = re.compile(r"^RUBY VERSION\s+ruby (\d+\.\d+\.\d+)", re.MULTILINE)


def evidence(tree: SourceTree) -> Evidence | None:
    return (
        first_marker(tree, MANIFESTS, Strength.MANIFEST)
        or first_marker(tree, (*CONVENTIONAL, PIN, "Rakefile"), Strength.SECONDARY)
        or first_marker(tree, tree.glob("*.rb"), Strength.LOOSE_FILE)
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    gemfile = next((name for name in MANIFESTS if name in tree.root_files), None)
    release = choose_version(tree, gemfile)
    start = choose_start(tree, settings, offers_of(tree, gemfile))
    install = settings.install_command or ("bundle install" if gemfile else None)
    gems = gems_of(tree, gemfile)
    needed = tuple(dict.fromkeys(package for gem in SYSTEM if gem in gems for package in SYSTEM[gem]))
    return BuildPlan(
        runtime="ruby",
        version=release.text,
        version_source=release.source,
        package_manager="bundler" if gemfile else None,
        install_command=install,
        build_command=settings.build_command,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Ruby {release.text}: {release.source}.",
            f"Installs the gems of {gemfile}, without the groups development and test."
            if gemfile
            else "Installs nothing: no gems are declared.",
            *layout.system_reasons(tree),
            *((f"Debian packages for gems: {', '.join(needed)}.",) if needed else ()),
            start.reason,
        ),
        warnings=(*release.warnings, *start.warnings),
        stages=_stages(tree, release, gemfile, (install, settings.build_command), needed),
    )


def choose_version(tree: SourceTree, gemfile: str | None) -> Release:
    """Return the release: of a pin, of the Gemfile, of its lock. Raises PlanError."""
    asked = _RUBY_LINE.search(tree.read_text(gemfile) or "") if gemfile else None
    text = ", ".join(re.findall(r"['\"]([^'\"]+)['\"]", asked[1])) if asked else ""
    locked = None if text else _LOCKED_RUBY.search(tree.read_text("Gemfile.lock") or "")
    pins = [*_pins(tree), *([("Gemfile.lock", locked[1])] if locked else [])]
    return RUBY.chosen(pins, text, str(gemfile))


def _pins(tree: SourceTree) -> Iterator[tuple[str, str]]:
    if pinned := first_line(tree, PIN):
        yield PIN, re.sub(r"^(?:ruby-|v)", "", pinned)
    yield from (each for each in tool_pins(tree, ("ruby",)) if not is_latest(each[1]))


def gems_of(tree: SourceTree, gemfile: str | None) -> frozenset[str]:
    """Return the gems that are declared or locked; those that Git brings need it as they run."""
    declared = tree.read_text(gemfile) or "" if gemfile else ""
    names = set(re.findall(r"^\s*gem\s*\(?\s*['\"]([\w-]+)['\"]", declared, re.MULTILINE))
    names |= set(re.findall(r"^ {4}([\w-]+) \(", tree.read_text("Gemfile.lock") or "", re.MULTILINE))
    return frozenset(
        names | ({"git"} if re.search(r"\b(?:git|github):|:git(?:hub)?\s*=>", declared) else set())
    )


def _stages(
    tree: SourceTree,
    release: Release,
    gemfile: str | None,
    commands: tuple[str | None, str | None],
    needed: tuple[str, ...],
) -> tuple[Stage, ...]:
    install, build = commands
    image = RUBY.tag(release)
    system = layout.system_packages(tree, needed)
    environment = {**ENVIRONMENT, "HOME": layout.HOME}
    rails = ("tmp", "log") if tree.has("bin/rails") else ()
    end = (Workdir(WORKDIR), *layout.writable(*rails))
    if not install and not build:
        return (Stage(image, (*system, Env(environment), layout.source_from_context(), *end)),)
    locked = {"BUNDLE_FROZEN": "true"} if "Gemfile.lock" in tree.root_files else {}
    steps: list[Instruction] = [
        *layout.system_packages(tree),
        Workdir(WORKDIR),
        Env({**ENVIRONMENT, **locked, "BUNDLE_GLOBAL_GEM_CACHE": "true"}),
    ]
    files = tuple(
        name
        for name in (*MANIFESTS, "Gemfile.lock", "gems.locked", PIN, ".tool-versions")
        if name in tree.root_files
    )
    source_first = (
        not gemfile or _NEEDS_SOURCE.search(_without_pin(tree.read_text(gemfile) or "")) is not None
    )
    steps += [Copy((".",), "./")] if source_first else [Copy(files, "./", why=layout.WHY_FIRST)]
    steps += [Run((install,), caches=(GEM_CACHE,))] if install else []
    if build:
        steps += [] if source_first else [Copy((".",), "./")]
        steps += [Run((build,), phase="build", caches=(GEM_CACHE,))]
    final: list[Instruction] = [
        *system,
        Env(environment),
        Copy((GEMS,), GEMS, stage="build"),
        *(
            (layout.source_from_build(),)
            if build or source_first
            else (layout.source_from_context(), *_resolved(tree, gemfile))
        ),
        *end,
    ]
    # The whole image has the compiler and the headers that gems are built with.
    whole = image.replace("-slim", "")
    return Stage(whole, tuple(steps), "build"), Stage(image, tuple(final))


def _resolved(tree: SourceTree, gemfile: str | None) -> tuple[Instruction, ...]:
    """Return the copy of the lock that the build made, where the repository has none: else a job resolves anew."""
    lock = {"Gemfile": "Gemfile.lock", "gems.rb": "gems.locked"}.get(gemfile or "")
    if lock is None or lock in tree.root_files:
        return ()
    return (
        Copy(
            (f"{WORKDIR}/{lock}",),
            f"{WORKDIR}/{lock}",
            stage="build",
            why="What Bundler resolved.",
        ),
    )


def _without_pin(gemfile: str) -> str:
    """A Gemfile that has its Ruby from the file beside it needs no more of the source."""
    return re.sub(r"^\s*ruby\s+file:.*$", "", gemfile, flags=re.MULTILINE)


RUNTIME = Runtime(
    "ruby",
    "Ruby",
    evidence,
    plan,
    frozenset({"ruby", "bundle", "rake", "rails", "sidekiq"}),
    signs=(*MANIFESTS, *CONVENTIONAL, "Rakefile"),
    versions=tuple(dotted(line) for line in RUBY.lines),
)
