"""What the description allows is accepted: schemathesis makes requests of it, and the API refuses none for its form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from app.web.api import OPERATIONS
from app.web.api.openapi import FORMATS as EXPLAINED
from app.web.api.openapi import describe
from app.web.api.operations import PREFIX
from tests.support.api import Caller
from tests.support.installation import Installation

DOCUMENT = describe(OPERATIONS)
JOBS = "/projects/acme/jobs"
NAMES = {"p": "acme", "j": "report"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
RSA = rsa.generate_private_key(65537, 2048).private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
)
FORMATS = {
    "rsa-private-key": (RSA.decode(),),
    "git-url": ("https://github.com/acme/report", "https://git.example.com/a/b.git"),
    "web-url": ("https://example.com/x", "http://example.com"),
    "command": ("date", "sh -c 'a b'"),
    "cron": ("0 6 * * *", "@daily"),
    "time-zone": ("UTC", "Europe/Berlin"),
    "path-pattern": ("docs/**", "*.md"),
    "ssh-host-key": (KEY,),
    "secret-path": ("db/password", "app/key"),
    "pointer-or-url": ("/repository/url", "https://git.example.com/a/b.git"),
    "user-name": ("ada", "Grace Hopper"),
    "email-or-empty": ("ada@example.com", ""),
}
# What no schema says: it depends on what is stored or set, or on several fields of a thing that is stored.
BEYOND = re.compile(
    r"must name |must be among|names \S+ twice|must be one made for|must be one of the plans|is for cron jobs"
    r"|is no component|is only for|Plan \S+ needs|can't be (?:file|env|vault|set together)|There is no field"
    r"|needs its name as text|the name of a job needs it|a credential needs its project|where deleted is true"
    r"|^address (?:must|has)|is not for an app|must be one that succeeded|must be a credential for"
    r"|must have names of their own|has a meaning only where"
    r"|is missing: (?:give the variable's text|shell wraps|a job that)|stands for somebody"
)
NO_TEXT = re.compile(r"\\u0000")
FREE = ("/apply",)  # documents of any form, which say what is wrong with them
EXAMPLES = 4
for name, values in FORMATS.items():
    schemathesis.openapi.format(name, st.sampled_from(values))


@cache
def described() -> list[Any]:
    """The operations as schemathesis reads them, but those that answer with images."""
    found = schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    read = [each.ok() for each in found]
    return [each for each in read if "/badges/" not in each.path and not each.path.endswith(FREE)]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    root: Path = tmp_path_factory.mktemp("described")
    with Installation.bare(root) as place, Caller(place.web) as made:
        made.made("/projects", {"name": "acme"})
        source = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
        made.made(JOBS, {"name": "report", "source": source})
        yield made


def send(caller: Caller, case: Any) -> Any:
    """What the request is answered; None for one that is not sent, with a character that the whole API refuses."""
    case.path_parameters = {**(case.path_parameters or {}), **_named(case.path_parameters or {})}
    made = case.as_transport_kwargs(base_url="http://testserver")
    ours = {name: value for name, value in made["headers"].items() if name.lower() == "idempotency-key"}
    body = json.dumps(made["json"]) if "json" in made else None
    if NO_TEXT.search(json.dumps([made.get("params"), made.get("json")])):
        return None
    path = made["url"].removeprefix(f"http://testserver{PREFIX}")
    return caller.request(case.method, path, params=made.get("params"), headers=ours, content=body)


def _named(given_names: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in NAMES.items() if name in given_names}


@pytest.mark.parametrize("operation", described(), ids=lambda each: each.label)
def test_what_is_described_is_accepted(caller: Caller, operation: Any) -> None:
    answers = DOCUMENT["paths"][operation.path][operation.method]["responses"]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def run(case: Any) -> None:
        answer = send(caller, case)
        if answer is None:
            return
        assert answer.status_code < 500, answer.text
        assert answer.status_code != 400, answer.text
        if answer.status_code == 422:
            problem = answer.json()
            for sentence in [each["message"] for each in problem["errors"]] or [problem["detail"]]:
                assert BEYOND.search(sentence), sentence
        assert str(answer.status_code) in {
            *answers,
            "200",
        }  # a repeated or rehearsed request answers with 200

    run()


def test_each_format_with_a_name_of_ours_is_explained() -> None:
    used = set(re.findall(r'"format": "([\w-]+)"', json.dumps(DOCUMENT)))
    assert used == set(FORMATS) | {"date-time"}
    assert set(FORMATS) == set(EXPLAINED)


def test_a_whole_number_may_be_written_as_a_floating_point_number(caller: Caller) -> None:
    made = caller.patch(f"{JOBS}/report", content='{"retry_limit": 4.0}')
    assert made.json()["retry_limit"] == 4
    refused = caller.patch(f"{JOBS}/report", content='{"retry_limit": 4.5}')
    assert refused.json()["detail"] == "retry_limit must be a whole number, not 4.5."
