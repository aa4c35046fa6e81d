"""PHP: packages by Composer and extensions by name, then a file that does something or the only program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from builders import layout
from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.manifests import first_line, read_json
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.effects import Doing, Effect
from builders.runtimes.php_effects import doing_of
from builders.runtimes.releases import Known, Language, Release, is_latest, tool_pins
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start
from builders.versions import dotted

PHP = Language(
    "PHP",
    "php",
    {
        (8, 1): Known("bookworm", "2025-12-31"),
        (8, 2): Known("trixie", "2026-12-31"),
        (8, 3): Known("trixie", "2027-12-31"),
        (8, 4): Known("trixie", "2028-12-31"),
        (8, 5): Known("trixie", "2029-12-31"),
    },
    default=(8, 4),
)
MANIFEST, PIN = "composer.json", ".php-version"
CONVENTIONAL = ("job.php", "main.php", "run.php", "cron.php", "worker.php")
CACHE = Cache("composer", "/tmp/composer-cache")  # noqa: S108 - inside the image
INSTALL = "composer install --no-dev --no-interaction --no-progress --optimize-autoloader"
UNLOCKED = "There is no composer.lock: each build may install other versions. Commit one."
# What the public images lack and can make, by the extension, with Debian's packages that it takes: they stay, as what
# they bring to run with has other names on each release of Debian.
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "bcmath": (),
    "calendar": (),
    "exif": (),
    "gd": ("libpng-dev", "libjpeg-dev", "libfreetype-dev"),
    "gmp": ("libgmp-dev",),
    "intl": ("libicu-dev",),
    "mysqli": (),
    "pcntl": (),
    "pdo_mysql": (),
    "pdo_pgsql": ("libpq-dev",),
    "pgsql": ("libpq-dev",),
    "soap": ("libxml2-dev",),
    "sockets": (),
    "xsl": ("libxslt1-dev",),
    "zip": ("libzip-dev",),
}
FROM_PECL = frozenset({"redis", "apcu", "mongodb", "igbinary", "msgpack"})
_IN_THE_IMAGE = re.compile(
    r"core|ctype|curl|date|dom|fileinfo|filter|ftp|hash|iconv|json|libxml|mbstring|mysqlnd|openssl|pcre|pdo"
    r"|pdo_sqlite|phar|posix|random|readline|reflection|session|simplexml|sodium|spl|sqlite3|standard|tokenizer"
    r"|xml|xmlreader|xmlwriter|zend_opcache|zlib"
)


def evidence(tree: SourceTree) -> Evidence | None:
    return (
        first_marker(tree, (MANIFEST,), Strength.MANIFEST)
        or first_marker(tree, CONVENTIONAL, Strength.SECONDARY)
        or first_marker(tree, tree.glob("*.php"), Strength.LOOSE_FILE)
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    manifest = _manifest(tree)
    release = choose_version(tree, manifest)
    start = choose_start(tree, settings, _offers(tree, manifest))
    has_packages = MANIFEST in tree.root_files
    is_locked = "composer.lock" in tree.root_files
    install = settings.install_command or (_install(release, is_locked) if has_packages else None)
    extensions, unknown = extensions_of(manifest)
    return BuildPlan(
        runtime="php",
        version=release.text,
        version_source=release.source,
        package_manager="composer" if has_packages else None,
        install_command=install,
        build_command=settings.build_command,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"PHP {release.text}: {release.source}.",
            "Installs with Composer, without what only development needs."
            if has_packages
            else "Installs nothing: there is no composer.json.",
            *((f"Extensions: {', '.join(extensions)} ({MANIFEST}).",) if extensions else ()),
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(
            *release.warnings,
            *((UNLOCKED,) if has_packages and not is_locked else ()),
            *(
                f"The extension {name} is not one that is known here: add a Dockerfile if the job needs it."
                for name in unknown
            ),
            *start.warnings,
        ),
        stages=_stages(tree, release, (install, settings.build_command), extensions),
    )


def _install(release: Release, is_locked: bool) -> str:
    """Return the command: Composer's image has a PHP of its own, and what is not locked is chosen for the job's."""
    if is_locked:
        return f"{INSTALL} --ignore-platform-reqs"
    chosen = f"composer config platform.php {dotted(release.line)}.0"
    return f"{chosen} && {INSTALL} --ignore-platform-req='ext-*'"


def _manifest(tree: SourceTree) -> dict[str, Any]:
    found = read_json(tree, MANIFEST)
    if not isinstance(found, dict):
        raise PlanError(f"{MANIFEST} must be an object.")
    return found


def _required(manifest: dict[str, Any]) -> dict[str, Any]:
    found = manifest.get("require")
    return found if isinstance(found, dict) else {}


def choose_version(tree: SourceTree, manifest: dict[str, Any]) -> Release:
    """Return the release: of a pin, or one that composer.json allows. Raises PlanError."""
    asked = _required(manifest).get("php")
    text = re.sub(r"(?<!\|)\|(?!\|)", "||", asked.replace("@stable", "")) if isinstance(asked, str) else ""
    return PHP.chosen(list(_pins(tree)), text, MANIFEST)


def _pins(tree: SourceTree) -> Iterator[tuple[str, str]]:
    if pinned := first_line(tree, PIN):
        yield PIN, pinned
    yield from (each for each in tool_pins(tree, ("php",)) if not is_latest(each[1]))


def extensions_of(manifest: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the extensions that are to be made, and those that nobody here knows how to."""
    asked = [name[4:].lower().replace("-", "_") for name in _required(manifest) if name.startswith("ext-")]
    wanted = [name for name in dict.fromkeys(asked) if not _IN_THE_IMAGE.fullmatch(name)]
    known = tuple(name for name in wanted if name in EXTENSIONS or name in FROM_PECL)
    return known, tuple(name for name in wanted if name not in known)


def _offers(tree: SourceTree, manifest: dict[str, Any]) -> Offers:
    console = next((name for name in ("artisan", "bin/console") if tree.has(name)), None)
    named = [name for name in CONVENTIONAL if name in tree.root_files]
    files = [name for name in tree.glob("*.php") if name not in named]
    looked_at = named or (files if len(files) == 1 else [])
    runs = next((path for path in looked_at if _doing(tree, path).effect is Effect.RUNS), None)
    bins = [manifest["bin"]] if isinstance(manifest.get("bin"), str) else manifest.get("bin", [])
    programs = (
        [each for each in bins if isinstance(each, str) and tree.has(each)] if isinstance(bins, list) else []
    )
    only = programs[0] if len(programs) == 1 else None
    return Offers(
        declared=Option(f"php {only}", f"{MANIFEST} has one bin") if only else None,
        conventional=Option(f"php {runs}", f"{runs} is at the root") if runs and not console else None,
        candidates=[*((f"php {console} COMMAND",) if console else ()), *programs, *named, *files],
        notes=[f"{path} {note}" for path in looked_at if (note := _doing(tree, path).note)],
    )


def _doing(tree: SourceTree, path: str) -> Doing:
    return doing_of(tree.read_text(path) or "")


def _stages(
    tree: SourceTree, release: Release, commands: tuple[str | None, str | None], extensions: tuple[str, ...]
) -> tuple[Stage, ...]:
    install, build = commands
    image = _tag(release)
    final: list[Instruction] = [*_extended(tree, extensions), Env({"HOME": layout.HOME})]
    end = (Workdir(WORKDIR), *layout.writable(*_written_to(tree)))
    if not install and not build:
        return (Stage(image, (*final, layout.source_from_context(), *end)),)
    steps: list[Instruction] = [
        Workdir(WORKDIR),
        Env({"COMPOSER_CACHE_DIR": CACHE.target}),
        Copy((".",), "./"),
    ]
    steps += [Run((install,), caches=(CACHE,))] if install else []
    steps += [Run((build,), phase="build", caches=(CACHE,))] if build else []
    return Stage("composer:2", tuple(steps), "build"), Stage(
        image, (*final, layout.source_from_build(), *end)
    )


def _written_to(tree: SourceTree) -> tuple[str, ...]:
    """Return where Laravel or Symfony keeps its caches, logs and sessions."""
    if "artisan" in tree.root_files:
        return "storage", "bootstrap/cache"
    return ("var",) if tree.has("bin/console") else ()


def _tag(release: Release) -> str:
    known = PHP.lines.get(release.line)
    on = f"-{known.debian}" if known and release.text == dotted(release.line) else ""
    return f"php:{release.text}-cli{on}"


def _extended(tree: SourceTree, extensions: tuple[str, ...]) -> tuple[Instruction, ...]:
    """Return the steps that install Debian's packages and make the extensions; the compiler goes again."""
    own = [name for name in extensions if name in EXTENSIONS]
    pecl = [name for name in extensions if name in FROM_PECL]
    system = layout.system_packages(
        tree, list(dict.fromkeys(each for name in own for each in EXTENSIONS[name]))
    )
    if not extensions:
        return system
    commands = ["apt-get update", "apt-get install -y --no-install-recommends $PHPIZE_DEPS"]
    commands += [f"docker-php-ext-install -j$(nproc) {' '.join(own)}"] if own else []
    commands += [f"pecl install {' '.join(pecl)}", f"docker-php-ext-enable {' '.join(pecl)}"] if pecl else []
    commands += ["apt-get purge -y --auto-remove $PHPIZE_DEPS", "rm -rf /var/lib/apt/lists/*"]
    return (*system, Run(tuple(commands), phase="system", why=f"Extensions that {MANIFEST} requires."))


RUNTIME = Runtime(
    "php",
    "PHP",
    evidence,
    plan,
    frozenset({"php", "composer", "artisan"}),
    signs=(MANIFEST, *CONVENTIONAL),
    versions=tuple(map(dotted, PHP.lines)),
)
