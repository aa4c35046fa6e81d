"""GitHub Apps as GitHub has them: for `jobyard doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli.findings import Finding
from app.domain.errors import JobyardError

if TYPE_CHECKING:
    from app.config import Settings
    from app.store.database import Database

WHAT = "GitHub Apps"


def check_github_apps(settings: Settings) -> Iterator[Finding]:
    """Ask GitHub whether each App's key is valid, what it lacks, which jobs it misses, and how its webhook is."""
    from app.store.database import Database

    if settings.database_url is None and not (settings.data / "jobyard.db").is_file():
        return
    db = Database(settings.store_url)
    try:
        yield from _findings(settings, db)
    except JobyardError:
        return  # which `credentials` tells of
    finally:
        db.close()


def _findings(settings: Settings, db: Database) -> Iterator[Finding]:
    from app.bootstrap.forges import send_to_forge
    from app.commands.app_tokens import AppTokens
    from app.commands.github_apps import advice_on, seen_app
    from app.installation import stored_box
    from app.store import github_apps, projects
    from app.system import SystemClock

    with db.read() as tx:
        apps = github_apps.everywhere(tx)
        named = {app.project_id: projects.with_id(tx, app.project_id).name for app in apps}
    box = stored_box(settings, db) if apps else None
    if box is None:
        return
    tokens = AppTokens(SystemClock(), send_to_forge(settings))
    for app in apps:
        seen = seen_app(db, box, tokens, app)
        project, advice = named[app.project_id], advice_on(app, seen)
        for sentence in advice:
            yield Finding("fail" if seen.problem else "warn", WHAT, f"Project {project}: {sentence}")
        if not advice:
            said = f"GitHub App {app.name} reaches {len(seen.repositories)} repositories and lacks nothing."
            yield Finding("ok", WHAT, f"Project {project}: {said}")
