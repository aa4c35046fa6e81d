"""What a repository would be built as, asked at the forms that name one, before anything is saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.checkout import Checkouts
from app.domain.principals import Role
from app.store import build_services, builds, jobs, projects
from app.web.app import create_app
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.repositories import Repository
from tests.support.seed import PASSWORD, World, world
from tests.support.server_context import ADMIN_TOKEN

SETTINGS = "/projects/acme/jobs/report/settings"
SERVICES = "/projects/acme/build-services"
HIDDEN = "a text that is never shown"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "report")
    found.commit(
        {"requirements.txt": "", "report.py": "print('report')\n", "tool/Dockerfile": "FROM scratch\n"}
    )
    return found


@pytest.fixture
def page(made: World) -> Client:
    """An operator's, of an installation that may read local repositories, with a project `acme`."""
    checkouts = Checkouts(made.root / "allowed", frozenset({"file", "http"}))
    dry_run = replace(made.context.dry_run, checkouts=checkouts)
    context = replace(made.context, dry_run=dry_run, check_git_url=checkouts.validate_url)
    app = create_app(context, nullcontext)
    api = Client(app, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    assert api.post("/api/v1/projects", json={"name": "acme"}).status_code == 201
    assert api.post("/api/v1/projects/acme/jobs", json={"name": "report"}).status_code == 201
    client = Client(app, follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{Role.ADMIN}-user", "password": PASSWORD}).status_code == 303
    return client


FORMS = pytest.mark.parametrize(("path", "at"), [(SETTINGS, "source."), (SERVICES, "")])


def typed(page: Client, path: str, at: str, url: str, **changes: str) -> dict[str, str]:
    """The form that makes a thing, asked to look; `__` stands for a dot."""
    fields = form_fields(page.get(f"{path}?source=git").text, path)
    given = {"name": "report", "look": "1", f"{at}git.url": url, f"{at}git.webhook_secret": HIDDEN}
    return fields | given | {at + name.replace("__", "."): text for name, text in changes.items()}


def nothing_is_stored(made: World) -> bool:
    with made.db.read() as tx:
        acme = projects.named(tx, "acme")
        has_source = any(job.source is not None for job in jobs.page(tx))
        return not (has_source or build_services.page(tx, acme.id, 9) or builds.page(tx, limit=9))


@FORMS
def test_what_is_there_is_said_and_nothing_is_saved(
    made: World, page: Client, repository: Repository, path: str, at: str
) -> None:
    fields = typed(page, path, at, repository.url, build__build_command="make report")
    answer = page.post(path, data=fields)
    assert answer.status_code == 200, answer.text
    seen = answer.text[answer.text.index('id="seen"') :]
    assert all(
        text in seen for text in ("python", "make report", "requirements.txt", "FROM ", repository.head[:7])
    )
    again = form_fields(answer.text, path)
    assert again[f"{at}git.url"] == repository.url
    assert again[f"{at}build.build_command"] == "make report"
    assert HIDDEN not in answer.text
    assert nothing_is_stored(made)


@FORMS
@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"git__branch": "nowhere"}, "git.url", "nowhere"),
        ({"git__branch": "a..b"}, "git.branch", "must be the name of a branch"),
        ({"git__credential": "nobody"}, "git.credential", "must name a git credential"),
        ({"build__root_directory": "x"}, "build.root_directory", "must be a path"),
        (
            {"build__mode": "dockerfile", "build__build_command": "make"},
            "build.build_command",
            "not for mode dockerfile",
        ),
    ],
)
def test_what_can_not_be_looked_at_is_said_at_its_field(
    made: World,
    page: Client,
    repository: Repository,
    path: str,
    at: str,
    changes: dict[str, str],
    field: str,
    said: str,
) -> None:
    answer = page.post(path, data=typed(page, path, at, repository.url, **changes))
    assert answer.status_code == 422
    assert said in answer.text.split(f'class="error" id="e-{at}{field}"')[1].split("</p>")[0]
    assert 'id="seen"' not in answer.text
    assert nothing_is_stored(made)


@FORMS
def test_a_repository_that_nothing_is_found_in_says_what_was_looked_for(
    page: Client, repository: Repository, path: str, at: str
) -> None:
    repository.commit(
        {"requirements.txt": None, "report.py": None, "tool/Dockerfile": None, "README": "words\n"}
    )
    answer = page.post(path, data=typed(page, path, at, repository.url))
    assert (answer.status_code, "Dockerfile" in answer.text.split('role="alert"')[1].split("</div>")[0]) == (
        422,
        True,
    )


@FORMS
def test_a_git_server_that_is_down_leaves_the_form_as_it_was(page: Client, path: str, at: str) -> None:
    down = "http://127.0.0.1:9/acme/report"
    answer = page.post(path, data=typed(page, path, at, down))
    assert (answer.status_code, 'role="alert"' in answer.text) == (503, True)
    assert form_fields(answer.text, path)[f"{at}git.url"] == down


def test_a_thing_that_is_there_is_looked_at_with_what_was_typed(
    made: World, page: Client, repository: Repository
) -> None:
    for path, at, address in (
        (SETTINGS, "source.", "/projects/acme/jobs/report/settings"),
        (SERVICES, "", f"{SERVICES}/report"),
    ):
        fields = typed(page, path, at, repository.url)
        del fields["look"]
        assert page.post(path, data=fields).status_code == 303
        stored = form_fields(page.get(address).text, address)
        answer = page.post(address, data=stored | {f"{at}build.root_directory": "/tool", "look": "1"})
        assert "FROM scratch" in answer.text[answer.text.index('id="seen"') :]
        assert form_fields(page.get(address).text, address) == stored
