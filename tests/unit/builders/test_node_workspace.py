"""Members of a workspace: found from below, and built with what is above them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.detect import make_plan
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.node_workspace import _is_member

MEMBER = json.dumps({"name": "sync", "scripts": {"start": "node sync.js"}, "dependencies": {"ms": "2"}})


def member_plan(make_tree, files, directory: str = "/apps/sync", **settings: str) -> BuildPlan:
    tree = make_tree({f"{directory.strip('/')}/package.json": MEMBER, **files})
    return make_plan(tree, BuildSettings(root_directory=directory, **settings))  # type: ignore[arg-type]


def workspace(*patterns: str) -> str:
    return json.dumps({"private": True, "workspaces": list(patterns)})


@pytest.mark.parametrize(
    ("files", "install"),
    [
        (
            {
                "package.json": "{}",
                "pnpm-workspace.yaml": "packages:\n  - apps/*  # all\n",
                "pnpm-lock.yaml": "",
            },
            "pnpm install --frozen-lockfile --prefer-offline --store-dir=/root/.pnpm-store --prod --filter sync...",
        ),
        (
            {"package.json": workspace("apps/*"), "package-lock.json": '{"packages": {}}'},
            "npm ci --no-audit --no-fund --omit=dev --workspace apps/sync --include-workspace-root",
        ),
        (
            {"package.json": json.dumps({"workspaces": {"packages": ["apps/*"]}}), "yarn.lock": ""},
            "yarn install --frozen-lockfile --non-interactive --production",
        ),
    ],
)
def test_a_member_is_installed_by_the_lock_above_it(make_tree, files, install: str) -> None:
    plan = member_plan(make_tree, files)
    assert (plan.root_directory, plan.install_command, plan.run_command) == (".", install, "node sync.js")
    assert "Builds all of the workspace at the root, of which apps/sync is a member." in plan.reasons


def test_the_workspace_may_be_below_the_root(make_tree) -> None:
    files = {"web/package.json": workspace("apps/**"), "web/package-lock.json": "{}", "web/.nvmrc": "22"}
    plan = member_plan(make_tree, files, "/web/apps/a/sync")
    assert (plan.root_directory, plan.version) == ("web", "22")


def test_what_is_no_member_is_built_by_itself(make_tree) -> None:
    files = {"package.json": workspace("apps/*", "!apps/sync"), "package-lock.json": "{}"}
    plan = member_plan(make_tree, files)
    assert (plan.root_directory, plan.install_command) == (
        "apps/sync",
        "npm install --no-audit --no-fund --omit=dev",
    )


def test_commands_of_the_settings_run_in_the_member(make_tree) -> None:
    files = {"package.json": workspace("apps/*"), "package-lock.json": "{}"}
    plan = member_plan(make_tree, files, install_command="npm ci", build_command="npm run x")
    assert (plan.install_command, plan.build_command) == (
        "cd apps/sync && npm ci",
        "cd apps/sync && npm run x",
    )


@pytest.mark.parametrize(
    ("patterns", "is_member"),
    [
        (["apps/*"], True),
        (["./apps/*"], True),
        (["apps/**"], True),
        (["**"], True),
        (["**/sync"], True),
        (["apps/sync/"], True),
        (["apps"], False),
        (["apps/*/*"], False),
        (["apps/*", "!**/sync"], False),
        ([], False),
        ([""], False),
    ],
)
def test_membership_is_by_segments(patterns: list[str], is_member: bool) -> None:
    assert _is_member("apps/sync", patterns) is is_member


@given(st.lists(st.text(st.sampled_from("a*/!?[]."), max_size=12), max_size=4))
def test_any_patterns_have_an_answer(patterns: list[str]) -> None:
    assert _is_member("a/a/a", patterns) in (True, False)
