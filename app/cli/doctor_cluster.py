"""What `jobyard doctor` looks for in a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli.findings import Finding
from app.domain.errors import JobyardError

if TYPE_CHECKING:
    from app.config import Settings


def check_permissions(settings: Settings) -> Iterator[Finding]:
    """Check that the server may do in a cluster what it has to."""
    if settings.engine != "kubernetes":
        return
    from app.bootstrap.engine import missing_permissions

    try:
        missing = missing_permissions(settings)
    except JobyardError:
        return  # the engine's own finding says so
    where = f"in the namespace {settings.kubernetes_namespace}"
    if missing:
        yield Finding("fail", "permissions", f"The Role of this server {where} lacks: {', '.join(missing)}.")
    else:
        yield Finding("ok", "permissions", f"This server may do {where} what it has to.")
