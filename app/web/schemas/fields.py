"""Values that several forms have in common. What depends on the installation is checked where a server is given."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from app.domain import limits
from app.domain.errors import InvalidValue
from app.domain.generic_webhooks import HEADER, POINTER
from app.domain.guessing import SHORTEST_WEBHOOK_SECRET, require_unguessable
from app.domain.hosts import is_refused_host, registry_host
from app.domain.job.spec import NAME, NAME_RULE
from app.domain.job.variables import ENV_NAME
from app.domain.paths import check_patterns
from app.domain.schedule import Schedule
from app.web.form_rules import FormRules
from app.web.numbers import LARGEST
from app.web.validation_messages import as_sentence

LINK_LOCAL = "a link-local address, where clouds keep their machines' credentials and no server is"
HIDDEN = "***"  # what is shown of a secret that is no variable
_YEARS = r"(?:19[7-9]|[2-8][0-9]{2})[0-9]-[\s\S]*"
YEARS = range(1970, 9000)  # beyond them, the arithmetic with times ends
YEAR_SECONDS = 365 * 24 * 3600
TIME_EXAMPLE = "2026-01-31T12:00:00Z"


def _shown(pattern: str | re.Pattern[str] = "", **more: Any) -> Any:
    """What the description says of a text that a validator checks: what it matches, or a format with a name of ours."""
    whole = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    return Field(json_schema_extra={**({"pattern": f"^(?:{whole})$"} if whole else {}), **more})


_REF = re.compile(
    r"(?![-/.])(?!.*(?:\.\.|@\{|//|/\.|\.lock(?:/|$)))[^\s\x00-\x1f\x7f~^:?*\[\\]{1,255}(?<![/.])"
)
_BELOW_ROOT = r"^(?!(?:[\s\S]*/)?\.\.(?:/|$))/[\s\S]*$"
_ONE_LINE = r"^(?!\s*$)[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+$"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA_BEGIN = re.compile(r"[0-9a-f]{7,64}")
_PROCESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")


def _within_reach(value: datetime) -> datetime:
    if value.year not in YEARS:
        raise ValueError(f"must be a time from 1970 to 8999 such as {TIME_EXAMPLE}")
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"must be {NAME_RULE}")
    return value


def _env_name(value: str) -> str:
    if not ENV_NAME.fullmatch(value) or len(value) > 255:
        raise ValueError("must be letters, digits and underscores, and not begin with a digit")
    return value


def _branch(value: str) -> str:
    if not _REF.fullmatch(value) or value.startswith("refs/"):
        raise ValueError("must be the name of a branch such as main")
    return value


def _sha(value: str) -> str:
    if not _SHA.fullmatch(value):
        raise ValueError("must be a whole commit id, 40 hexadecimal digits in lower case")
    return value


def _sha_or_begin(value: str) -> str:
    if not _SHA_BEGIN.fullmatch(value):
        raise ValueError("must be a commit id or its first digits, at least 7, in lower case")
    return value


def _git_url(value: str, info: ValidationInfo) -> str:
    if isinstance(info.context, FormRules):
        try:
            info.context.check_git_url(value)
        except InvalidValue as error:
            raise as_sentence(error) from None
    return value


def _webhook_secret(value: str) -> str:
    require_unguessable(value, SHORTEST_WEBHOOK_SECRET)
    return value


def _plan(value: str, info: ValidationInfo) -> str:
    if isinstance(info.context, FormRules) and value not in info.context.plans:
        raise ValueError(f"must be one of the plans {', '.join(info.context.plans)}")
    return value


def _image(value: str) -> str:
    if len(value) > 512 or not _IMAGE.fullmatch(value):
        raise ValueError("must be an image reference such as registry.example.com/team/app:1.2")
    if is_refused_host(registry_host(value)):
        raise ValueError(f"must not be at {registry_host(value)}, {LINK_LOCAL}")
    return value


def _command(value: Any) -> Any:
    match value:
        case str() if value.strip():
            _require_length(len(value))
            try:
                limits.split(value)
            except ValueError as error:
                raise ValueError(f"must be a command as a shell would split it ({error})") from None
            return value
        case [str(), *_] if all(isinstance(part, str) for part in value) and value[0]:
            _require_length(sum(len(part) + 1 for part in value))
            return value
        case _:
            raise ValueError('must be a command, as text or as a list such as ["python", "main.py"]')


def _require_length(length: int) -> None:
    if length > limits.COMMAND:
        raise as_sentence(
            InvalidValue(
                "command", f"a command has at most {limits.COMMAND:,} characters in all, not {length:,}"
            )
        )


def _within_size(env: Any) -> Any:
    """For variables: the system starts no process with more than a certain size of them."""
    size = sum(len(name) + len(getattr(entry, "value", None) or "") for name, entry in env.items())
    if size > limits.VARIABLES_TEXT:
        most = f"{limits.VARIABLES_TEXT:,}"
        sentence = f"names and values have at most {most} characters in all, not {size:,}"
        raise as_sentence(InvalidValue("env", sentence))
    return env


def _address(value: str) -> str:
    """The value is a secret, so a complaint is a whole sentence: to others the value would be added."""
    try:
        parts = urlsplit(value)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_web = False
    if value != HIDDEN and (not is_web or not value.isascii() or any(sign <= " " for sign in value)):
        raise as_sentence(InvalidValue("url", "must be an address that begins with https:// or http://"))
    return value


def _path_below_root(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError("must be a path that begins with / (the repository's root) and has no .. in it")
    return value


def _pattern(value: str) -> str:
    try:
        check_patterns([value], "pattern")
    except InvalidValue as error:
        raise as_sentence(error) from None
    return value


def _pointer(value: str) -> str:
    if not POINTER.fullmatch(value):
        raise ValueError("must be a JSON Pointer such as /push/ref")
    return value


def _pointer_or_address(value: str) -> str:
    is_address = "://" in value or "@" in value.partition("/")[0]
    return value if is_address and not value.startswith("/") else _pointer(value)


def _header_name(value: str) -> str:
    if not HEADER.fullmatch(value):
        raise ValueError("must be the name of a header such as X-Signature")
    return value


def _commit_flag(value: str) -> str:
    if not value.strip() or len(value.splitlines()) > 1:
        raise ValueError("must be a text of one line such as [skip ci]")
    return value


def _process(value: str) -> str:
    if not _PROCESS.fullmatch(value):
        raise ValueError("must be the name of a process such as web or worker")
    return value


def _cron(value: str) -> str:
    try:
        return Schedule.parse(value).expression
    except InvalidValue as error:
        raise as_sentence(error) from None


def _time_zone(value: str) -> str:
    try:
        Schedule.parse("@daily", value)
    except InvalidValue as error:
        raise as_sentence(error) from None
    return value


def _build_choice(value: Any) -> Any:
    if value == "latest" or (type(value) is int and 1 <= value <= LARGEST):
        return value
    raise ValueError('must be the id of a build or "latest"')


def _time(value: Any) -> Any:
    """Read here, since a bare number would else count as seconds since 1970, which nobody means by it."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be a time such as {TIME_EXAMPLE}") from None


Name = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})
]
EnvName = Annotated[str, AfterValidator(_env_name), _shown(ENV_NAME, maxLength=255)]


def _web_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("must be a path that begins with /")
    return value


BranchName = Annotated[str, AfterValidator(_branch), _shown(f"(?!refs/){_REF.pattern}")]
Sha = Annotated[str, AfterValidator(_sha), _shown(_SHA)]
ShaOrBegin = Annotated[str, AfterValidator(_sha_or_begin), _shown(_SHA_BEGIN)]
GitUrl = Annotated[
    str, Field(max_length=limits.URL, json_schema_extra={"format": "git-url"}), AfterValidator(_git_url)
]
PlanName = Annotated[str, AfterValidator(_plan)]
ImageRef = Annotated[str, AfterValidator(_image), _shown(_IMAGE, maxLength=512)]
_Shown = (
    Annotated[str, _shown(format="command", maxLength=limits.COMMAND)]
    | Annotated[
        list[str],
        Field(json_schema_extra={"minItems": 1, "prefixItems": [{"type": "string", "minLength": 1}]}),
    ]
)
Command = Annotated[str | list[str], PlainValidator(_command, json_schema_input_type=_Shown)]
BelowRoot = Annotated[
    str,
    Field(max_length=limits.PATH, json_schema_extra={"pattern": _BELOW_ROOT}),
    AfterValidator(_path_below_root),
]
WebPath = Annotated[
    str, Field(max_length=limits.PATH, json_schema_extra={"pattern": "^/"}), AfterValidator(_web_path)
]
PathPattern = Annotated[
    str,
    Field(min_length=1, max_length=1000, json_schema_extra={"format": "path-pattern"}),
    AfterValidator(_pattern),
]
Pointer = Annotated[
    str,
    Field(min_length=1, max_length=300, json_schema_extra={"pattern": f"^(?:{POINTER.pattern})$"}),
    AfterValidator(_pointer),
]
PointerOrAddress = Annotated[
    str,
    Field(min_length=1, max_length=1000, json_schema_extra={"format": "pointer-or-url"}),
    AfterValidator(_pointer_or_address),
]
HeaderName = Annotated[
    str,
    Field(min_length=1, max_length=64, json_schema_extra={"pattern": f"^(?:{HEADER.pattern})$"}),
    AfterValidator(_header_name),
]
TagPattern = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra={"format": "path-pattern"}),
    AfterValidator(_pattern),
]
CommitFlag = Annotated[
    str,
    Field(max_length=limits.COMMIT_FLAG, json_schema_extra={"pattern": _ONE_LINE}),
    AfterValidator(_commit_flag),
]
ProcessName = Annotated[str, AfterValidator(_process), _shown(_PROCESS)]
Cron = Annotated[str, AfterValidator(_cron), _shown(format="cron")]
TimeZone = Annotated[str, AfterValidator(_time_zone), _shown(format="time-zone")]
Seconds = Annotated[int, Field(ge=1, le=YEAR_SECONDS)]
Retries = Annotated[int, Field(ge=0, le=100)]
Address = Annotated[
    str, Field(max_length=limits.URL, json_schema_extra={"format": "web-url"}), AfterValidator(_address)
]
Text = Annotated[str, Field(min_length=1, max_length=limits.MESSAGE)]
BuildCommand = Annotated[str, Field(min_length=1, max_length=limits.BUILD_COMMAND)]
WebhookSecret = Annotated[
    str,
    Field(max_length=limits.WEBHOOK_SECRET, json_schema_extra={"minLength": SHORTEST_WEBHOOK_SECRET}),
    AfterValidator(_webhook_secret),
]
EnvText = Annotated[str, Field(max_length=limits.VARIABLE)]
EnvSize = AfterValidator(_within_size)
BuildChoice = Annotated[
    int | Literal["latest"],
    PlainValidator(
        _build_choice, json_schema_input_type=Annotated[int, Field(ge=1, le=LARGEST)] | Literal["latest"]
    ),
]
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_time, json_schema_input_type=Annotated[str, _shown(_YEARS, format="date-time")]),
    AfterValidator(_within_reach),
]
