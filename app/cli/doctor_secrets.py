"""The places that secrets are read from, looked at as the server would: for `jobyard doctor`."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli.findings import Finding
from app.domain.errors import JobyardError

if TYPE_CHECKING:
    from pathlib import Path

    from app.config import Settings

FILES, ENVIRONMENT, VAULT = "secrets in files", "secrets in variables", "Vault"


def check_secret_sources(settings: Settings) -> Iterator[Finding]:
    """Check those that are set; no secret is read."""
    if settings.secrets_dir is not None:
        yield _judge_directory(settings.secrets_dir)
    if settings.secrets_env:
        yield _judge_variables(settings)
    if settings.vault_addr is not None:
        yield _ask_vault(settings)


def _judge_directory(directory: Path) -> Finding:
    try:
        mode = directory.stat().st_mode
        owners = sorted(each.name for each in directory.iterdir() if each.is_dir())
    except OSError as error:
        return Finding("fail", FILES, f"JOBYARD_SECRETS_DIR: {directory} can't be read ({error.strerror}).")
    if mode & stat.S_IRWXO:
        sentence = f"Others on this machine may open {directory}: take that from them (chmod o= {directory})."
        return Finding("warn", FILES, sentence)
    found = ", ".join(owners) or "no project yet, as it has no directories"
    return Finding("ok", FILES, f"{directory} has secrets of: {found}.")


def _judge_variables(settings: Settings) -> Finding:
    names = sorted(settings.secret_variables)
    if not names:
        sentence = "JOBYARD_SECRETS_ENV names no variable that this process has; give them to the server."
        return Finding("warn", ENVIRONMENT, sentence)
    return Finding("ok", ENVIRONMENT, f"Jobs may have: {', '.join(names)}.")


def _ask_vault(settings: Settings) -> Finding:
    from app.bootstrap.secrets import make_vault

    vault = make_vault(settings)
    assert vault is not None
    try:
        vault.check()
    except JobyardError as error:
        return Finding("fail", VAULT, f"{settings.vault_addr}: {error}")
    return Finding("ok", VAULT, f"{settings.vault_addr} answers and takes the server's login.")
