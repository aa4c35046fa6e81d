"""An app with a migration before, two components, and a notice after."""

from __future__ import annotations

import pytest

from tests.support.api import Caller
from tests.support.shop import APPS, PIPELINES, empty_job, job


@pytest.fixture
def shop(admin: Caller) -> Caller:
    """An app of a hook and a component, built from a repository, and its peer in production without a source."""
    for stage, make in (("", job), ("-live", empty_job)):
        make(admin, f"migrate{stage}", deploy_trigger="pre-deploy")
        make(admin, f"web{stage}")
        admin.made(APPS, {"name": f"shop{stage}", "jobs": [f"migrate{stage}", f"web{stage}"]})
    stages = [
        {"name": "staging", "components": ["shop"]},
        {"name": "production", "components": ["shop-live"]},
    ]
    admin.made(PIPELINES, {"name": "main", "stages": stages})
    return admin
