"""Settings: read once from the environment (`JOBYARD_*`) and a `.env` file; nothing else reads the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.backups.buckets import SCHEME, Bucket
from app.domain.backups import BackupPlan
from app.domain.egress import Egress, Reach, read_reach
from app.domain.errors import InvalidValue, UserError
from app.domain.guessing import require_unguessable
from app.domain.hosts import registry_host
from app.domain.mail import MailServer, read_mail_server
from app.domain.plans import DEFAULT_PLANS, MIB, Plan
from app.domain.public_url import read_issuer, read_public_url
from app.domain.quotas import NAMES, ProjectLimits, Quotas
from app.domain.retention import Limits
from app.domain.schedule import Schedule
from app.runtime.own_addresses import is_own

_REGISTRY = re.compile(
    r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
)
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#@\s/]+)*")
BACKUP_CRON = "0 3 * * *"
SHORTEST_ADMIN_TOKEN = 20
OF_PROJECT = ProjectLimits()


class Settings(BaseSettings):
    """Everything that can be set. The field descriptions are what `jobyard config` prints."""

    model_config = SettingsConfigDict(
        env_prefix="JOBYARD_", env_file=".env", extra="ignore", frozen=True, validate_default=True
    )

    data: Path = Field(default=Path("data"), description="database, logs, checkouts, key file")
    database_url: SecretStr | None = Field(
        default=None, description="SQLite in the data directory; postgresql://… for several replicas"
    )
    engine: Literal["docker", "process"] = Field(
        default="docker",
        description="docker; process runs without isolation, for trying out and trusted code",
    )
    docker_host: str | None = Field(
        default=None, description="the engine's socket, e.g. unix:///var/run/docker.sock"
    )
    network: Literal["shared", "isolated"] = Field(
        default="shared",
        description="isolated keeps jobs' containers from reaching one another; a start takes about 50 ms longer",
    )
    egress: str = Field(
        default="internet,private",
        description="what jobs and builds may reach: of internet, private and host, or none; link-local never",
    )
    egress_bridge: Literal["filtered", "open"] = Field(
        default="filtered",
        description="open leaves the engine's default bridge alone, where builds are, and jobs of a shared network",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="seals secrets; a key file with mode 0600 is made in the data directory if unset",
    )
    secret_key_file: Path | None = Field(
        default=None, description="the key file, where it is not in the data directory"
    )
    secret_key_command: str | None = Field(
        default=None, description="prints the key within 30 s, such as a call of a password store; no shell"
    )
    admin_token: SecretStr | None = Field(
        default=None, description="an API token with all rights, for automation and first set-up"
    )
    oidc_issuer: str | None = Field(
        default=None, description="sign-in by OpenID Connect: the provider's address, as it calls itself"
    )
    oidc_client_id: str | None = Field(default=None, description="what the provider knows this server by")
    oidc_client_secret: SecretStr | None = Field(default=None, description="proves that to the provider")
    oidc_role_claim: str | None = Field(
        default=None, description="the claim with the role, such as groups or realm_access.roles"
    )
    smtp_url: SecretStr | None = Field(
        default=None, description="sends mail: smtp(s)://user:password@host:port?from=address"
    )
    session_idle_hours: int = Field(
        default=7 * 24,
        ge=1,
        le=8760,
        description="without being used, a browser stays logged in for this long",
    )
    session_hours: int = Field(
        default=14 * 24, ge=1, le=8760, description="a browser stays logged in for this long at most"
    )
    public_url: str | None = Field(
        default=None,
        description="for links and webhook set-up; if unset, http://host:port, on pages what the reader asked for",
    )
    registry: str | None = Field(default=None, description="where built images are pushed")
    git_allow: str = Field(
        default="https,ssh", description="allowed Git transports; file and http only when named here"
    )
    git_time_limit_seconds: int = Field(default=600, ge=1, description="for one fetch")
    reconcile_minutes: int = Field(
        default=10,
        ge=0,
        le=1440,
        description="between comparisons of branches with their remotes, for pushes that no hook told of; 0: never",
    )
    workers_builds: int = Field(default=2, ge=1, le=64, description="builds at once")
    workers_runs: int = Field(default=8, ge=1, le=256, description="runs at once")
    project_jobs: int = Field(
        default=OF_PROJECT.jobs, ge=0, le=10**6, description="jobs a project may have; 0: any number"
    )
    project_queued_runs: int = Field(
        default=OF_PROJECT.queued_runs,
        ge=0,
        le=10**6,
        description="runs a project may have queued; 0: any number",
    )
    project_runs_at_once: int = Field(
        default=OF_PROJECT.runs_at_once,
        ge=0,
        le=10**6,
        description="runs of a project at work; 0: any number",
    )
    project_builds_at_once: int = Field(
        default=OF_PROJECT.builds_at_once,
        ge=0,
        le=10**6,
        description="builds of a project at work; 0: any number",
    )
    project_cpus: float = Field(
        default=OF_PROJECT.cpus,
        ge=0,
        le=10**6,
        allow_inf_nan=False,
        description="CPUs of all running containers of a project; 0: any number",
    )
    project_memory_mb: int = Field(
        default=OF_PROJECT.memory_mb,
        ge=0,
        le=10**9,
        description="MiB of memory of all running containers of a project; 0: any number",
    )
    project_log_mb: int = Field(
        default=OF_PROJECT.log_mb,
        ge=0,
        le=10**9,
        description="MiB that all logs of a project may take, of which the oldest go; 0: any number",
    )
    metrics_seconds: int = Field(
        default=2, ge=1, le=60, description="between two readings of a container's CPU, memory and network"
    )
    retention_days: int = Field(
        default=90,
        ge=0,
        le=36_500,
        description="runs, builds, deliveries and decisions are kept; 0: for ever",
    )
    retention_runs: int = Field(
        default=1000, ge=0, le=10**9, description="runs of each job are kept, at most; 0: any number"
    )
    audit_days: int = Field(
        default=365, ge=0, le=36_500, description="entries of the audit log are kept; 0: for ever"
    )
    backup_to: str | None = Field(
        default=None, description="backups are made there by themselves: a directory, or s3://BUCKET/PREFIX"
    )
    backup_cron: str = Field(default=BACKUP_CRON, description="when, in UTC: five cron fields or an @alias")
    backup_keep: int = Field(
        default=14, ge=0, le=10**6, description="backups are kept, of those made by themselves; 0: all"
    )
    backup_with_key: bool | None = Field(
        default=None, description="whether the key file is in them; if unset, in files and not in buckets"
    )
    build_cache_gb: int = Field(
        default=20, ge=0, le=10**6, description="the bound of the engine's build cache; 0: it is left alone"
    )
    build_cpus: float = Field(
        default=0,
        ge=0,
        le=10**4,
        allow_inf_nan=False,
        description="CPUs of each step of a build, where the engine can; 0: all of them",
    )
    build_memory_mb: int = Field(
        default=4096,
        ge=0,
        le=10**8,
        description="MiB of memory of each step of a build, where the engine can; 0: any amount",
    )
    run_disk_mb: int = Field(
        default=0,
        ge=0,
        le=10**8,
        description="MiB that each container of a run may write to its own files, where the engine can; 0: any amount",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="the server's own log: text, or json, an object a line"
    )
    log_cap_mb: int = Field(default=100, ge=1, description="kept of each log: its first and its last part")
    plans: str = Field(default="", description="sizes to add or change: name=cpus:MiB, separated by commas")

    @field_validator("egress")
    @classmethod
    def _known_reach(cls, value: str) -> str:
        read_reach(value)
        return value

    @field_validator("git_allow")
    @classmethod
    def _known_transports(cls, value: str) -> str:
        unknown = set(value.split(",")) - {"https", "ssh", "http", "file"}
        if unknown:
            raise ValueError(f"knows https, ssh, http and file, not {', '.join(sorted(unknown))}")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        given = value.get_secret_value() if value else ""
        if given and not given.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        return value if given else None

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return read_public_url(value) if value else None

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        return read_issuer(value) if value else None

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        read_mail_server(value.get_secret_value())
        return value

    @field_validator("registry")
    @classmethod
    def _registry(cls, value: str | None) -> str | None:
        if value and not _REGISTRY.fullmatch(value):
            raise ValueError("must be a registry such as registry.example.com:5000/team, without https://")
        return value or None

    @field_validator("secret_key_command")
    @classmethod
    def _one_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("secret_key"):
            raise ValueError("can't be set together with JOBYARD_SECRET_KEY: unset one of them")
        return value or None

    @field_validator("backup_to")
    @classmethod
    def _backup_place(cls, value: str | None, info: ValidationInfo) -> str | None:
        return _backup_place(value, info.data.get("data", Path())) if value else None

    @field_validator("backup_cron")
    @classmethod
    def _backup_times(cls, value: str) -> str:
        if value != BACKUP_CRON:  # so that servers without need not load what reads it
            try:
                Schedule.parse(value)
            except InvalidValue as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("plans")
    @classmethod
    def _readable_plans(cls, value: str) -> str:
        _plans(value)
        return value

    @field_validator("admin_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        require_unguessable(value.get_secret_value(), SHORTEST_ADMIN_TOKEN)
        return value

    @property
    def sizes(self) -> dict[str, Plan]:
        """The plans by name, in order of size."""
        named = {plan.name: plan for plan in (*DEFAULT_PLANS, *_plans(self.plans))}
        return dict(sorted(named.items(), key=lambda item: (item[1].cpus, item[1].memory_bytes)))

    @property
    def may_reach(self) -> Egress:
        """What containers may reach. Where that is set, users' images and messages are held to it, too: not by default,
        which would forbid a registry beside the server.
        """
        reach = read_reach(self.egress)
        return Egress(
            reach,
            on_default_bridge=self.egress_bridge == "filtered",
            asked=reach | {Reach.INTERNET} if "egress" in self.model_fields_set else frozenset(Reach),
            registry=registry_host(f"{self.registry}/image") if self.registry else "",
            is_own=is_own,
        )

    @property
    def has_local_engine(self) -> bool:
        """Whether the engine is on this machine, as far as its address says."""
        return self.docker_host is None or self.docker_host.startswith("unix:")

    @property
    def quotas(self) -> Quotas:
        """What projects may use that have no limits of their own."""
        return Quotas(ProjectLimits(**{name: getattr(self, f"project_{name}") for name in NAMES}), self.sizes)

    @property
    def retention(self) -> Limits:
        """What is kept of what is over."""
        return Limits(self.retention_days, self.retention_runs, self.audit_days)

    @property
    def backups(self) -> BackupPlan | None:
        """The backups that are made by themselves, if any are."""
        if self.backup_to is None:
            return None
        return BackupPlan(
            self.backup_to, Schedule.parse(self.backup_cron), self.backup_keep, self.backup_with_key
        )

    @property
    def oidc(self) -> OidcSettings | None:
        """The identity provider, if there is one. Raises UserError for one that is only half set."""
        secret = self.oidc_client_secret.get_secret_value() if self.oidc_client_secret else ""
        given = {
            "JOBYARD_OIDC_ISSUER": self.oidc_issuer or "",
            "JOBYARD_OIDC_CLIENT_ID": self.oidc_client_id or "",
            "JOBYARD_OIDC_CLIENT_SECRET": secret,
            "JOBYARD_OIDC_ROLE_CLAIM": self.oidc_role_claim or "",
        }
        missing = [name for name, value in given.items() if not value]
        if len(missing) == len(given):
            return None
        if missing:
            is_ = "is" if len(missing) == 1 else "are"
            raise UserError(
                f"{_listed(given)} are set together or not at all: {_listed(missing)} {is_} missing."
            )
        return OidcSettings(*given.values())

    @property
    def mail_server(self) -> MailServer | None:
        """Where mail is handed over. Raises UserError where nobody knows what links in it lead to."""
        if self.smtp_url is None:
            return None
        if self.public_url is None:
            raise UserError("JOBYARD_SMTP_URL needs JOBYARD_PUBLIC_URL: links in mail lead there.")
        return read_mail_server(self.smtp_url.get_secret_value())

    @property
    def transports(self) -> frozenset[str]:
        return frozenset(self.git_allow.split(","))

    @property
    def key_file(self) -> Path:
        return self.secret_key_file or self.data / "secret.key"

    @property
    def store_url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data.resolve() / 'jobyard.db'}"


@dataclass(frozen=True)
class OidcSettings:
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    role_claim: str


class BucketSettings(BaseSettings):
    """How buckets are reached, from the variables that every tool for S3 knows."""

    model_config = SettingsConfigDict(
        env_prefix="AWS_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    endpoint_url: str | None = None
    region: str | None = None
    default_region: str | None = None
    access_key_id: str | None = Field(default=None, repr=False)
    secret_access_key: str | None = Field(default=None, repr=False)
    session_token: str | None = Field(default=None, repr=False)


class ClientSettings(BaseSettings):
    """What the commands need to speak with a server."""

    model_config = SettingsConfigDict(
        env_prefix="JOBYARD_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    url: str = Field(default="http://127.0.0.1:8080", description="the server that commands speak with")
    token: SecretStr | None = Field(default=None, description="the API token that commands send")
    project: str | None = Field(default=None, description="where commands look for jobs named without one")

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("token")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if not text.isascii() or not text.isprintable():
            raise ValueError("a token has only printable ASCII characters")
        return value if text else None


Some = TypeVar("Some", bound=BaseSettings)


def _backup_place(text: str, data: Path) -> str:
    """The address of a bucket, or the whole path of a directory. Raises ValueError."""
    if text.startswith(SCHEME):
        if not _BUCKET.fullmatch(text.rstrip("/")):
            raise ValueError("must be a directory, or s3://BUCKET/PREFIX without keys or options in it")
        return text.rstrip("/")
    if "://" in text:
        raise ValueError("must be a directory, or s3://BUCKET/PREFIX")
    place = Path(text).resolve()
    if place.is_relative_to(data.resolve()):
        raise ValueError("must not be in JOBYARD_DATA: what happens to that would happen to its backups")
    return str(place)


def _plans(text: str) -> list[Plan]:
    plans = []
    for item in filter(None, text.split(",")):
        name, _, size = item.partition("=")
        cpus, _, mib = size.partition(":")
        try:
            plans.append(Plan(name.strip(), float(cpus), int(mib) * MIB))
        except ValueError:
            raise ValueError(f"{item!r} is not name=cpus:MiB, such as huge=8:16384") from None
    return plans


def read_settings() -> Settings:
    """The settings in force. Raises UserError with one sentence naming the variable that is wrong."""
    settings = _read(Settings)
    _ = settings.oidc, settings.mail_server  # half of either is an error
    return settings


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def read_bucket() -> Bucket:
    """How buckets are reached."""
    given = BucketSettings()
    return Bucket(
        given.endpoint_url,
        given.region or given.default_region,
        given.access_key_id,
        given.secret_access_key,
        given.session_token,
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
