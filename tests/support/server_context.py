"""What pages and API stand on in a test: a server of an installation, without loops; tests do what theirs would."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from app.bootstrap.forges import make_forges, make_hook_apis
from app.checkout import Checkouts
from app.checkout.urls import parse_remote
from app.commands.app_tokens import AppTokens
from app.commands.dry_run import DryRun
from app.commands.image_resolution import Sighting
from app.commands.repository_hooks import RepositoryHooks
from app.commands.retention import Retention
from app.commands.run_differences import CommitRanges
from app.commands.shells import Shells
from app.commands.tokens import digest
from app.domain.http import HttpAnswer, HttpRequest
from app.domain.job.records import Pinned
from app.domain.plans import DEFAULT_PLANS
from app.domain.references import Ours
from app.domain.retention import Limits
from app.oidc import Provider
from app.outbound import NoAnswer
from app.runtime.engine_health import EngineHealth
from app.store.inbox import Inbox
from app.web.server_context import ServerContext
from tests.support.desk import quick_desk

if TYPE_CHECKING:
    from tests.support.installation import Installation

ADMIN_TOKEN = "the token of the tests' administrator"
TRANSPORTS = frozenset({"https", "ssh"})


def pinned(reference: str) -> Pinned:
    """A registry that knows every image, each by a digest of its own."""
    digest_ = "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
    repository = reference.partition("@")[0].rpartition(":")[0] or reference
    return Pinned(f"{repository}@{digest_}", digest_)


def check_git_url(url: str) -> None:
    parse_remote(url, TRANSPORTS)


def nothing_answers(_request: HttpRequest) -> HttpAnswer:
    raise NoAnswer("did not answer in 10 s")


def server_context(place: Installation, **changes: Any) -> ServerContext:
    """The context of a server of an installation without loops, with a registry that knows every image, and an engine
    that is up; `changes` are its fields.
    """
    forges = make_forges()
    ours = Ours("jobyard-0123456789ab", "registry.jobyard.example/team")
    checkouts = Checkouts(place.root / "checkouts", frozenset({"file"}))
    fields: dict[str, Any] = {
        "db": place.db,
        "inbox": Inbox(place.db),
        "clock": place.clock,
        "names": place.names,
        "vault": place.box,
        "signals": place.signals,
        "log_storage": place.log_storage,
        "app_tokens": AppTokens(place.clock, nothing_answers),
        "repository_hooks": RepositoryHooks(
            place.db, place.clock, place.box, make_hook_apis(), nothing_answers
        ),
        "dry_run": DryRun(place.db, place.clock, forges, checkouts, place.box),
        "retention": Retention(place.db, place.clock, place.log_storage, Limits(), ours),
        "shells": Shells(place.db, place.engine, "one", most=2, idle_minutes=15),
        "commit_ranges": CommitRanges(checkouts.commits_between),
        "forges": forges,
        "plans": {plan.name: plan for plan in DEFAULT_PLANS},
        "ours": ours,
        "public_url": "https://jobyard.example.com",
        "check_git_url": check_git_url,
        "host_keys_of": lambda _host: (),
        "pin_image": lambda _job, image: pinned(image),
        "sighted_image": lambda _project, image, _credential: Sighting(pinned(image).digest),
        "missing_images": lambda _images: frozenset(),
        "engine_health": lambda: EngineHealth(is_up=True, sentence="The engine answers."),
        "admin_token_hash": digest(ADMIN_TOKEN),
        "desk": quick_desk(),
        "provider": Provider("https://id.example.com", "jobyard", "the secret of a client", "roles"),
    }
    return ServerContext(**fields | changes)
