"""Sections of a file, pruning and exporting, by the command."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.support.api import Caller
from tests.support.cli import Cli

FILE = """
project: shop
settings: {public: true}
jobs:
- name: report
  source: {type: image, image: "busybox:1"}
- name: old
apps:
- {name: web, jobs: [report]}
"""
SMALLER = """
project: shop
jobs:
- name: report
  retry_limit: 2
"""
MADE = "project shop created\njob shop/report created\njob shop/old created\napp shop/web created\n"


@pytest.fixture
def shop(cli: Cli) -> Path:
    """A file of which the project is applied already, but for a job that it has no more."""
    file = Path("shop.yaml")
    file.write_text(FILE)
    assert cli("apply", file).out == MADE
    file.write_text(SMALLER)
    return file


def test_pruning_shows_its_plan_and_asks(
    cli: Cli, admin: Caller, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = (
        "~ job shop/report would be changed\n    retry_limit: 0 → 2\n- job shop/old would be deleted\n"
        "It would be 1 changed, 1 deleted, 0 unchanged; nothing was done.\n"
    )
    assert cli("apply", shop, "--prune", "--dry-run").out == plan
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    declined = cli("apply", shop, "--prune")
    assert (declined.status, declined.out.rstrip(" ")) == (1, plan)
    assert "Delete 1 and apply the rest?" in declined.err
    assert admin.got("/projects/shop/jobs/report")["retry_limit"] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert (
        cli("apply", shop, "--prune").out.replace(".\n ", ".\n")
        == f"{plan}job shop/report changed\njob shop/old deleted\n"
    )
    assert admin.get("/projects/shop/jobs/old").status_code == 404
    assert admin.got("/projects/shop/apps")["items"]


def test_pruning_by_a_script_says_yes(cli: Cli, shop: Path) -> None:
    done = cli("apply", shop, "--prune", "--yes", "--json").json
    assert [(each["label"], each["what"]) for each in done["items"]] == [
        ("job shop/report", "changed"),
        ("job shop/old", "deleted"),
    ]
    assert cli("apply", shop, "--prune").out == "job shop/report unchanged\n"


def test_what_is_wrong_is_named_with_its_line(cli: Cli, shop: Path) -> None:
    shop.write_text(f"{SMALLER}  colour: red\n---\nproject: shop\napps:\n- name: web\n  jobs: [nowhere]\n")
    done = cli("apply", shop)
    assert done.status == 1
    assert done.err.splitlines() == [
        "jobyard: nothing was applied, as 2 things are wrong:",
        "  line 6: job shop/report: There is no field colour.",
        "  line 11: app shop/web: jobs must name jobs of project shop, which nowhere is not.",
    ]


def test_what_is_exported_is_applied_again(cli: Cli, shop: Path) -> None:
    text = cli("export", "--project", "shop").out
    shop.write_text(text)
    assert set(cli("apply", shop, "--prune", "--json").json["sentence"].split()) == {"4", "unchanged."}
    assert "\n---\nproject: shop\n" in cli("export").out
