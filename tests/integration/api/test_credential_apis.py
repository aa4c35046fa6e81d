"""Where the API of a credential's forge is: its token is sent there, so nobody else may say where that is."""

from __future__ import annotations

import pytest

from tests.support.api import Caller

PATH = "/projects/acme/credentials"
FORGE = {"name": "forge", "kind": "git", "host": "github.acme.example", "secret": "a token"}
API_URL = "https://github.acme.example/api/v3"
SUCH = "such as https://github.example.com/api/v3"


def test_it_is_kept_and_shown(admin: Caller) -> None:
    assert admin.made(PATH, {**FORGE, "api_url": f"{API_URL}/"})["api_url"] == API_URL
    assert admin.got(f"{PATH}/forge")["api_url"] == API_URL


def test_another_one_needs_the_secret_once_more(admin: Caller) -> None:
    admin.made(PATH, {**FORGE, "api_url": API_URL})
    stolen = admin.patch(f"{PATH}/forge", json={"api_url": "https://elsewhere.example"})
    message = "secret is needed once more with another api_url, as it is sent there."
    assert (stolen.status_code, stolen.json()["errors"]) == (422, [{"field": "secret", "message": message}])
    assert admin.patch(f"{PATH}/forge", json={"api_url": API_URL, "username": "ada"}).status_code == 200
    changed = admin.patch(f"{PATH}/forge", json={"api_url": "", "secret": "another token"})
    assert (changed.status_code, changed.json()["api_url"]) == (200, "")


def test_it_says_what_kind_of_forge_its_host_is(admin: Caller) -> None:
    git = {"url": "https://git.acme.example/acme/report.git"}
    admin.made("/projects/acme/jobs", {"name": "report", "source": {"type": "git", "git": git}})
    assert admin.got("/projects/acme/jobs/report")["webhook_url"].endswith("/webhooks/github")
    made = admin.made(PATH, {**FORGE, "host": "git.acme.example", "forge": "gitlab"})
    assert (made["forge"], admin.got(f"{PATH}/forge")["forge"]) == ("gitlab", "gitlab")
    assert admin.got("/projects/acme/jobs/report")["webhook_url"].endswith("/webhooks/gitlab")
    assert admin.patch(f"{PATH}/forge", json={"username": "ada"}).json()["forge"] == "gitlab"
    assert admin.patch(f"{PATH}/forge", json={"forge": ""}).json()["forge"] == ""
    refused = admin.post(PATH, json={**FORGE, "name": "other", "forge": "sourcehut"})
    message = "forge must be '', 'github', 'gitlab', 'gitea' or 'bitbucket', not 'sourcehut'."
    assert refused.json()["errors"] == [{"field": "forge", "message": message}]


def test_a_registry_has_none(admin: Caller) -> None:
    kind = admin.post(PATH, json={**FORGE, "kind": "registry", "forge": "gitlab"})
    message = "forge is of the forge that a git credential is for: leave it out."
    assert (kind.status_code, kind.json()["errors"][0]["message"]) == (422, message)
    refused = admin.post(PATH, json={**FORGE, "kind": "registry", "api_url": API_URL})
    message = "api_url is of the forge that a git credential is for: leave it out."
    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (422, message)


@pytest.mark.parametrize(
    ("api_url", "wrong"),
    [
        ("github.acme.example", f"api_url must be an address, {SUCH}"),
        ("ftp://github.acme.example", f"api_url must be an address, {SUCH}"),
        ("https://me@github.acme.example", f"api_url must be an address, {SUCH}"),
        ("https://github.acme.example/?x=1", "api_url must be an address without a question in it"),
        ("https://github.acme.example:x/", "api_url has a host or a port that can't be read"),
        ("http://169.254.169.254/latest", "api_url must not be at 169.254.169.254"),
    ],
)
def test_what_is_no_such_address(admin: Caller, api_url: str, wrong: str) -> None:
    refused = admin.post(PATH, json={**FORGE, "api_url": api_url})
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["field"]) == (422, "api_url")
    assert error["message"].startswith(wrong)
