"""A client that openapi-python-client makes of the description, whole, and used against a server."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from app.domain.runs import Outcome
from app.web.api import OPERATIONS
from app.web.api.openapi import describe
from tests.support.api import Caller, attempt_ends
from tests.support.cli import serving
from tests.support.server_context import ADMIN_TOKEN

PACKAGE = "generated_jobyard_client"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package, of which nothing is missing but answers that are images or YAML."""
    folder = tmp_path_factory.mktemp("client")
    document = folder / "openapi.json"
    document.write_text(json.dumps(describe(OPERATIONS)))
    config = Config.from_sources(
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        document_source=document,
        file_encoding="utf-8",
        overwrite=False,
        output_path=folder / PACKAGE,
    )
    problems = [f"{each.header} {each.detail}" for each in generate(config=config)]
    assert [each for each in problems if not re.search(r"content_type (image|application/yaml)", each)] == []
    sys.path.insert(0, str(folder))
    yield importlib.import_module(PACKAGE)
    sys.path.remove(str(folder))


def test_it_has_every_operation(client: ModuleType) -> None:
    made = {path.stem for path in Path(str(client.__file__)).parent.glob("api/*/*.py")}
    assert {operation.handler.__name__ for operation in OPERATIONS} - made == set()


def test_it_makes_a_job_runs_it_reads_its_log_and_cancels(client: ModuleType, admin: Caller) -> None:
    def api(name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.api.{name}")

    models = importlib.import_module(f"{PACKAGE}.models")
    with (
        serving(admin.context) as port,
        client.AuthenticatedClient(f"http://127.0.0.1:{port}", token=ADMIN_TOKEN) as jobyard,
    ):
        image = models.ImageSourceForm(type_="image", image="busybox")
        body = models.JobForm(name="report", source=image)
        job = api("jobs.create_job").sync("acme", client=jobyard, body=body)
        assert isinstance(job, models.JobAnswer)
        assert job.source.image == "busybox"
        run = api("jobs.create_run").sync(
            "acme", "report", client=jobyard, body=models.OverridesForm(command="date")
        )
        assert isinstance(run, models.RunAnswer)
        attempt_ends(admin.context, Outcome(None, 0), b"Monday\n")
        run = api("runs.show_run").sync(str(run.id), client=jobyard)
        assert run.status == models.RunStatus.SUCCEEDED
        assert api("runs.run_log").sync(run.name, client=jobyard) == "Monday\n"
        second = api("jobs.create_run").sync("acme", "report", client=jobyard, body=models.OverridesForm())
        cancelled = api("runs.cancel_run").sync(second.name, client=jobyard)
        assert cancelled.status == models.RunStatus.CANCELLED
        listed = api("jobs.list_runs").sync("acme", "report", client=jobyard)
        assert isinstance(listed, models.RunAnswerPage)
        assert [each.name for each in listed.items] == [second.name, run.name]
        refused = api("runs.show_run").sync("nobody", client=jobyard)
        assert isinstance(refused, models.ProblemAnswer)
        assert refused.detail == "There is no run nobody, or not for this token."


def test_no_name_in_the_description_is_that_of_a_module() -> None:
    names = describe(OPERATIONS)["components"]["schemas"]
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)] == []
