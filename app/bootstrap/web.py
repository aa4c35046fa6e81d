"""What the pages and the API of a server are handed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from app.bootstrap import guide
from app.bootstrap.backups import backup_list
from app.bootstrap.parts import Parts
from app.bootstrap.repository_files import repository_file
from app.checkout import shown_by
from app.commands.dry_run import DryRun
from app.commands.image_resolution import Resolver
from app.commands.run_differences import CommitRanges
from app.commands.shells import Shells
from app.commands.sign_in import Desk
from app.commands.tokens import digest
from app.config import Settings
from app.runtime.ports import IdentityProvider
from app.store.sessions import SessionLimits
from app.web.guide import Reference
from app.web.server_context import ServerContext

NONE: Mapping[str, Reference] = {}


def server_context(
    parts: Parts, listening_url: str, drill: str = "", references: Mapping[str, Reference] = NONE
) -> ServerContext:
    """`drill` says, where the data was restored for one, that no loop runs. `references` are added to the guide."""
    own, settings = parts.installation, parts.settings
    resolver = Resolver(own.db, parts.engine, own.box, own.ours, parts.watch.health)
    return ServerContext(
        db=own.db,
        inbox=parts.inbox,
        clock=own.clock,
        names=parts.names,
        vault=own.box,
        signals=own.signals,
        log_storage=parts.log_storage,
        forges=parts.forges,
        plans=settings.sizes,
        ours=own.ours,
        public_url=settings.public_url or listening_url,
        is_public_url_set=settings.public_url is not None,
        check_git_url=parts.checkouts.validate_url,
        host_keys_of=shown_by,
        pin_image=resolver.pin,
        sighted_image=resolver.sighted,
        missing_images=resolver.missing,
        engine_health=parts.watch.health,
        retention=parts.retention,
        shells=_shells(parts),
        commit_ranges=CommitRanges(parts.checkouts.commits_between),
        app_tokens=parts.app_tokens,
        repository_hooks=parts.repository_hooks,
        dry_run=DryRun(
            own.db, own.clock, parts.forges, parts.checkouts, own.box, repository_file(parts).apply
        ),
        disk=parts.disk,
        turns=parts.turns,
        admin_token_hash=_admin_token_hash(settings),
        desk=Desk(limits=_session_limits(settings)),
        provider=make_provider(settings),
        sends_mail=settings.mail_server is not None,
        backups=settings.backups,
        backup_list=backup_list(own),
        drill=drill,
        references={**guide.references(), **references},
    )


def _shells(parts: Parts) -> Shells:
    own, settings = parts.installation, parts.settings
    most, idle_minutes = settings.shells, settings.shell_idle_minutes
    return Shells(own.db, parts.engine, parts.server, most=most, idle_minutes=idle_minutes)


def make_provider(settings: Settings) -> IdentityProvider | None:
    """Return where people sign in by OpenID Connect, if that is set. Nothing is asked yet."""
    if settings.oidc is None:
        return None
    from app.oidc import Provider  # with what it imports it takes memory that others need not spend

    own = settings.oidc
    return Provider(own.issuer, own.client_id, own.client_secret, own.role_claim)


def _session_limits(settings: Settings) -> SessionLimits:
    idle, absolute = settings.session_idle_hours, settings.session_hours
    return SessionLimits(idle=timedelta(hours=idle), absolute=timedelta(hours=absolute))


def _admin_token_hash(settings: Settings) -> str | None:
    token = settings.admin_token
    return None if token is None else digest(token.get_secret_value())
