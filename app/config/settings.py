"""All settings of a server together, and how they are read."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from app.config.backups import BackupSettings
from app.config.builds import BuildSettings
from app.config.clean_up import CleanUpSettings
from app.config.client import ClientSettings
from app.config.data import DataSettings
from app.config.engine import EngineSettings
from app.config.git import GitSettings
from app.config.group import Group
from app.config.keys import KeySettings
from app.config.limits import LimitSettings
from app.config.log_store import LogStoreSettings
from app.config.mail import MailSettings
from app.config.network import NetworkSettings
from app.config.registry import RegistrySettings
from app.config.runs import RunSettings
from app.config.secret_sources import SecretSourceSettings
from app.config.server import ServerSettings
from app.config.sign_in import SignInSettings
from app.domain.errors import UserError

Some = TypeVar("Some", bound=Group)

OF_NODES = ("swarm", "kubernetes")  # engines that have several


class Settings(
    CleanUpSettings,
    BackupSettings,
    LimitSettings,
    RunSettings,
    BuildSettings,
    GitSettings,
    NetworkSettings,
    RegistrySettings,
    EngineSettings,
    MailSettings,
    SignInSettings,
    ServerSettings,
    SecretSourceSettings,
    KeySettings,
    LogStoreSettings,
    DataSettings,
):
    """Everything that can be set for a server, listed from the last group to the first, as fields are inherited."""


def read_settings() -> Settings:
    """The settings in force. Raises UserError with one sentence naming the variable that is wrong."""
    settings = _read(Settings)
    _ = settings.oidc, settings.mail_server  # half of either is an error
    settings.require_one_login()
    settings.require_one_way()
    _require_registry(settings)
    _require_nodes(settings)
    return settings


def _require_registry(settings: Settings) -> None:
    if settings.engine in OF_NODES and settings.registry is None:
        raise UserError(
            f"JOBYARD_ENGINE={settings.engine} needs JOBYARD_REGISTRY: nodes pull the images of builds from there, such"
            " as registry.example.com/team."
        )


def _require_nodes(settings: Settings) -> None:
    named = next((plan.name for plan in settings.sizes.values() if plan.node_labels), None)
    if named and settings.engine not in OF_NODES:
        raise UserError(
            f"JOBYARD_PLANS: the plan {named} is for nodes with a label, and JOBYARD_ENGINE={settings.engine} has no"
            f" nodes; leave out what follows @, or use {' or '.join(OF_NODES)}."
        )


def read_client_settings() -> ClientSettings:
    """What commands need to reach a server. Raises UserError like `read_settings`."""
    return _read(ClientSettings)


def _read(kind: type[Some]) -> Some:
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        field = "_".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        is_secret = "SecretStr" in str(kind.model_fields[field].annotation)
        is_secret = is_secret or "@" in str(first.get("input"))  # an address may have a password
        given = "" if is_secret else f" (given: {first.get('input')!r})"
        raise UserError(f"JOBYARD_{field.upper()} is not usable: {message}{given}.") from error
