"""What reads the secrets that are kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.config import Settings
from app.runtime.external_secrets import ExternalSecrets
from app.secret_sources.files import SecretFiles

if TYPE_CHECKING:
    from app.secret_sources.vault import VaultServer


def make_external_secrets(settings: Settings) -> ExternalSecrets:
    """Return what reads the secrets that the settings let projects name. Nothing is asked yet."""
    files = None if settings.secrets_dir is None else SecretFiles(settings.secrets_dir)
    return ExternalSecrets(settings.secret_rules, settings.secret_variables, files, make_vault(settings))


def make_vault(settings: Settings) -> VaultServer | None:
    """Return the Vault that the settings name, if they name one."""
    if settings.vault_addr is None:
        return None
    from app.secret_sources.vault import (  # with what it imports, which few servers need
        VaultLogin,
        VaultServer,
    )

    token, secret_id = settings.vault_token, settings.vault_secret_id
    login = VaultLogin(
        token.get_secret_value() if token else "",
        settings.vault_token_file,
        settings.vault_role_id or "",
        secret_id.get_secret_value() if secret_id else "",
    )
    return VaultServer(settings.vault_addr, login, settings.vault_namespace or "")
