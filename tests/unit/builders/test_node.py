import json
from collections.abc import Mapping
from typing import Any

import pytest

from builders.detect import make_plan
from builders.plan import BuildPlan, BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile
from builders.source import SourceTree

BASIC: dict[str, Any] = {"dependencies": {"ms": "2.1.3"}, "scripts": {"job": "node x.js"}}


@pytest.fixture
def node_tree(make_tree):
    def make(package: Mapping[str, Any], files: Mapping[str, str] | None = None) -> SourceTree:
        return make_tree({"package.json": json.dumps({**BASIC, **package}), **(files or {})})

    return make


@pytest.fixture
def node_plan(node_tree):
    def plan(package: Mapping[str, Any], files: Mapping[str, str] | None = None) -> BuildPlan:
        return make_plan(node_tree(package, files))

    return plan


@pytest.mark.parametrize(
    ("package", "files", "version"),
    [
        ({}, {}, "24"),
        ({"engines": {"node": ">=18"}}, {}, "24"),
        ({"engines": {"node": "20.x"}}, {".nvmrc": "v20.1.0"}, "20"),
        ({"engines": {"node": "^18 || ^20"}}, {}, "20"),
        ({"engines": {"node": "<=22"}}, {}, "22"),
        ({"volta": {"node": "20.2.0"}}, {".nvmrc": "22"}, "20.2.0"),
        ({"devEngines": {"runtime": {"name": "node", "version": "^22"}}}, {}, "22"),
        ({}, {".nvmrc": "lts/jod\n"}, "22"),
        ({}, {".nvmrc": "lts/*"}, "24"),
        ({}, {".nvmrc": "node"}, "24"),
        ({}, {".node-version": "20"}, "20"),
        ({}, {".node-version": "# pinned\n\n22\n"}, "22"),
        ({}, {".nvmrc": "# pinned\n20\n"}, "20"),
        ({}, {".nvmrc": "\n# pinned\n v20.11.1 # by hand\n"}, "20.11.1"),
        ({}, {".tool-versions": "nodejs 22.1.0\n"}, "22.1.0"),
        ({}, {"mise.toml": '[tools]\nnode = "22"\n'}, "22"),
        ({}, {".mise.toml": '[tools]\nnode = ["22.1.0", "20"]\n'}, "22.1.0"),
        ({}, {".config/mise.toml": '[tools]\nnode = { version = "lts" }\n'}, "24"),
        ({}, {"mise.toml": "[tools]\nnode = 22\n"}, "22"),
        ({}, {"mise.toml": "tools = 1\n"}, "24"),
        ({"engines": {"node": ">=25"}}, {}, "26"),
        ({"engines": {"node": "^26.0.0"}}, {}, "26"),
        ({"engines": {"node": ">=27 <28"}}, {}, "27"),
        ({"engines": {"node": "29.1.0"}}, {}, "29.1.0"),
        ({"engines": {"node": "21"}}, {}, "21"),
    ],
)
def test_version(node_plan, package: Mapping[str, Any], files: Mapping[str, str], version: str) -> None:
    assert node_plan(package, files).version == version


@pytest.mark.parametrize(
    ("wanted", "image", "warning"),
    [
        ("24", "node:24-trixie-slim", ""),
        ("22.1.0", "node:22.1.0-slim", ""),
        (
            "18",
            "node:18-bookworm-slim",
            "Node.js 18 has had no security fixes since 2025-04-30: move to a newer one.",
        ),
        (
            "19.x",
            "node:19-slim",
            "Node.js 19 has had no security fixes since 2023-06-01: move to a newer one.",
        ),
        (
            "28",
            "node:28-trixie-slim",
            "Node.js 28 (package.json engines.node) is newer than what is known here: its image is tried.",
        ),
    ],
)
def test_the_base_image_and_what_is_amiss_with_it(node_plan, wanted: str, image: str, warning: str) -> None:
    plan = node_plan({"engines": {"node": wanted}, "dependencies": {}})
    assert f"FROM {image} AS " in render_dockerfile(plan)
    assert plan.warnings == ((warning,) if warning else ())


def test_versions_that_disagree_are_noted(node_plan) -> None:
    plan = node_plan({"engines": {"node": "20"}}, {".nvmrc": "22"})
    assert plan.warnings[0] == ".nvmrc asks for 22; package.json engines.node decides."


@pytest.mark.parametrize(
    ("package", "sentence"),
    [
        (
            {"engines": {"node": "0.12"}},
            r"engines\.node asks for Node\.js '0\.12', but base images exist for",
        ),
        ({"engines": {"node": "newest"}}, r"engines\.node 'newest' can't be read"),
        ({"packageManager": "yarn"}, r"packageManager 'yarn' is not NAME@VERSION"),
        ({"packageManager": "pnpm@9; rm -rf /"}, r"is not NAME@VERSION"),
    ],
)
def test_what_cannot_be_had_is_refused(node_plan, package: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        node_plan(package)


@pytest.mark.parametrize(
    ("package", "files", "manager", "tool"),
    [
        ({}, {"package-lock.json": "{}"}, "npm", None),
        ({}, {"npm-shrinkwrap.json": "{}"}, "npm", None),
        ({}, {"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "pnpm", "pnpm@8"),
        ({}, {"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm", "pnpm@10"),
        ({"engines": {"pnpm": "9.1"}}, {"pnpm-lock.yaml": ""}, "pnpm", "pnpm@9.1"),
        ({"packageManager": "pnpm@9.1.2+sha512.abc"}, {}, "pnpm", "pnpm@9.1.2"),
        ({}, {"yarn.lock": "# yarn lockfile v1\n"}, "yarn", "yarn@1.22.22"),
        ({}, {"yarn.lock": "__metadata:\n  version: 8\n"}, "yarn", "@yarnpkg/cli-dist@4"),
        ({}, {"yarn.lock": "", ".yarnrc.yml": ""}, "yarn", "@yarnpkg/cli-dist@4"),
        ({"packageManager": "yarn@1.22.19"}, {"yarn.lock": ""}, "yarn", "yarn@1.22.19"),
        ({}, {}, "npm", None),
    ],
)
def test_package_manager(
    node_plan, package: Mapping[str, Any], files: Mapping[str, str], manager, tool
) -> None:
    plan = node_plan(package, files)
    assert plan.package_manager == manager
    text = render_dockerfile(plan)
    assert (f" {tool}\n" in text) if tool else ("npm install --global" not in text)


def test_without_a_lock_file_each_build_may_differ(node_plan) -> None:
    plan = node_plan({})
    assert plan.install_command == "npm install --no-audit --no-fund --omit=dev"
    assert "Commit one." in plan.warnings[0]


def test_several_lock_files_are_noted(node_plan) -> None:
    plan = node_plan({}, {"pnpm-lock.yaml": "", "package-lock.json": "{}"})
    assert plan.package_manager == "pnpm"
    assert plan.warnings == ("package-lock.json left aside: pnpm is used. Remove what is stale.",)


@pytest.mark.parametrize(
    "package",
    [
        {"scripts": {"job": "x", "postinstall": "node build.js"}},
        {"dependencies": {"lib": "file:./lib"}},
        {"workspaces": ["packages/*"]},
    ],
)
def test_what_installing_may_read_is_there_before(node_plan, package: Mapping[str, Any]) -> None:
    text = render_dockerfile(node_plan(package, {"package-lock.json": "{}"}))
    assert text.index("COPY . ./") < text.index("npm ci")


def test_patches_go_with_the_lock_file(node_plan) -> None:
    text = render_dockerfile(node_plan({}, {"package-lock.json": "{}", "patches/ms.patch": ""}))
    assert "COPY patches/ ./patches/\n" in text
    assert text.index("COPY patches/") < text.index("npm ci")


@pytest.mark.parametrize(
    ("scripts", "files", "command"),
    [
        ({"job": "node a.js", "start": "node b.js"}, {}, ("node", "a.js")),
        ({"start": "tsx src/run.ts"}, {}, ("tsx", "src/run.ts")),
        ({"prestart": "x", "start": "node b.js"}, {}, ("npm", "run", "--silent", "start")),
        (
            {"start": "NODE_OPTIONS=-r=x node b.js"},
            {},
            ("/bin/sh", "-c", "exec env NODE_OPTIONS=-r=x node b.js"),
        ),
        ({"start": "next start", "cron": "node c.js"}, {}, ("node", "c.js")),
        ({"start": "vite"}, {"index.js": "run()"}, ("node", "index.js")),
        ({}, {"index.ts": "run()"}, ("node", "index.ts")),
        (
            {},
            {"sync.mjs": "run()", "x.config.js": "run()", "lib.js": "module.exports = 1"},
            ("node", "sync.mjs"),
        ),
    ],
)
def test_start_command(node_plan, scripts, files: Mapping[str, str], command: tuple[str, ...]) -> None:
    assert node_plan({"scripts": scripts}, files).command == command


EXPRESS = "const app = require('express')()\napp.listen(3000)\n"


@pytest.mark.parametrize(
    ("scripts", "files", "note"),
    [
        (
            {"start": "node server.js"},
            {"server.js": EXPRESS},
            "'start' runs server.js, which starts a server",
        ),
        ({"start": "node dist/main.js"}, {"src/main.ts": EXPRESS}, "'start' runs src/main.ts, which starts"),
        (
            {"start": "npm run dev", "dev": "tsx watch ./app.ts"},
            {"app.ts": EXPRESS},
            "'start' runs app.ts, which",
        ),
        ({"start": "next build; serve -s out"}, {}, "'start' runs serve, which serves"),
        ({"worker": "next start"}, {}, "'worker' runs next, which serves"),
        ({"start": "cross-env PORT=1 npx expo start"}, {}, "'start' runs expo, which serves"),
        ({"start": "nest start"}, {"src/main.ts": EXPRESS}, "'start' runs src/main.ts, which starts"),
        ({}, {"index.js": EXPRESS}, "index.js starts a server, which never finishes"),
        ({}, {"index.js": "module.exports = 1"}, "index.js only defines things and runs nothing"),
    ],
)
def test_servers_and_definitions_are_refused_with_a_note(node_plan, scripts, files, note: str) -> None:
    with pytest.raises(NoStartCommand, match=note):
        node_plan({"scripts": scripts}, files)


def test_a_script_that_builds_first_is_no_server(node_plan) -> None:
    plan = node_plan({"scripts": {"start": "vite build && node job.js"}}, {"job.js": "run()"})
    assert plan.run_command == "vite build && node job.js"


@pytest.mark.parametrize(
    ("package", "files", "command"),
    [
        ({"main": "lib.js"}, {"lib.js": "module.exports = 1", "job.js": "run()"}, "node job.js"),
        ({"main": "dist/a.js", "scripts": {"build": "tsc"}}, {}, "node dist/a.js"),
        ({"main": "./src"}, {"src/index.js": "run()"}, "node ./src"),
        ({"main": "blns.json"}, {"blns.json": "[]", "job.js": "run()"}, "node job.js"),
        ({"bin": "bin/control.sh"}, {"bin/control.sh": "#!/bin/sh\n"}, "sh bin/control.sh"),
        ({"bin": "bin/tool"}, {"bin/tool": "#!/usr/bin/env node\n"}, "node bin/tool"),
    ],
)
def test_what_is_declared_is_run_as_what_it_is(node_plan, package, files, command: str) -> None:
    assert node_plan({"scripts": {}, **package}, files).run_command == command


def test_a_single_bin_and_main(node_plan) -> None:
    assert node_plan({"scripts": {}, "bin": "./cli.js"}).run_command == "node ./cli.js"
    assert node_plan({"scripts": {}, "main": "lib/x"}, {"lib/x.js": "run()"}).run_command == "node lib/x"
    with pytest.raises(NoStartCommand):
        node_plan({"scripts": {}, "main": "lib/x"})


def test_a_command_that_calls_its_package_manager_has_it(node_plan) -> None:
    plan = node_plan({"scripts": {"job": "pnpm exec x"}}, {"pnpm-lock.yaml": ""})
    assert render_dockerfile(plan).count("npm install --global --no-audit --no-fund pnpm@10") == 2


def test_development_packages_are_there_for_the_build_only(node_plan) -> None:
    package = {"scripts": {"job": "x", "build": "tsc"}, "devDependencies": {"typescript": "5"}}
    plan = node_plan(package, {"package-lock.json": "{}"})
    assert plan.install_command == "npm ci --no-audit --no-fund"
    assert plan.build_command == "npm run build"
    assert "npm prune --omit=dev" in render_dockerfile(plan)


@pytest.mark.parametrize(
    ("package", "files", "apart"),
    [
        ({"scripts": {"job": "x", "build": "tsc"}}, {"package-lock.json": "{}"}, True),
        ({"scripts": {"job": "x", "postinstall": "node x.js"}}, {}, True),
        ({}, {"package-lock.json": "{}"}, False),
    ],
)
def test_packages_are_copied_apart_from_what_is_built(node_plan, package, files, apart: bool) -> None:
    text = render_dockerfile(node_plan(package, files))
    copies = text.partition(" AS job")[2]
    assert ("/app/node_modules /app/node_modules\n" in copies) == apart
    assert ("COPY --from=build /app /app\n" in copies) != apart


def test_commands_of_the_user_are_taken_as_they_are(node_tree) -> None:
    settings = BuildSettings(install_command="npm i --foo", build_command="make all", run_command="node y.js")
    plan = make_plan(node_tree({}, {"package-lock.json": "{}"}), settings)
    assert (plan.install_command, plan.build_command, plan.run_command) == (
        "npm i --foo",
        "make all",
        "node y.js",
    )
    text = render_dockerfile(plan)
    assert text.index("COPY . ./") < text.index("npm i --foo") < text.index("make all")


@pytest.mark.parametrize(
    ("start", "development", "kept"),
    [
        ("tsx a.ts", "tsx", True),
        ("npx tsx a.ts", "tsx", True),
        ("NODE_ENV=production tsx a.ts", "tsx", True),
        ("echo hi && tsx a.ts", "tsx", True),
        ("node --import tsx a.ts", "tsx", True),
        ("node -r dotenv/config a.js", "dotenv", True),
        ("node --loader ts-node/esm a.ts", "ts-node", True),
        ("cross-env A=1 node a.js", "cross-env", True),
        ("nest start", "@nestjs/cli", True),
        ("node -r @swc-node/register a.ts", "@swc-node/register", True),
        ("npm run other", "tsx", True),
        ("node a.js", "tsx", False),
    ],
)
def test_what_the_command_runs_stays(node_plan, start: str, development: str, kept: bool) -> None:
    scripts = {"start": start, "other": "tsx a.ts"}
    package = {"scripts": scripts, "devDependencies": {development: "1"}, "dependencies": {"left-pad": "1"}}
    plan = node_plan(package)
    assert plan.install_command is not None
    assert ("--omit=dev" not in plan.install_command) == kept
    assert any(development in reason for reason in plan.reasons if reason.startswith("Keeps")) == kept
    built = node_plan({**package, "scripts": {**scripts, "build": "tsc"}})
    assert ("npm prune" not in str(render_dockerfile(built))) == kept
    of_its_own = node_plan({**package, "dependencies": {development: "1"}})
    assert "--omit=dev" in str(of_its_own.install_command)


@pytest.mark.parametrize("script", ["preinstall", "install", "postinstall", "prepare"])
def test_scripts_of_the_installation_find_what_they_call(node_plan, script: str) -> None:
    scripts = {"start": "node a.js", script: "husky"}
    plan = node_plan({"scripts": scripts, "devDependencies": {"husky": "9"}})
    assert "--omit=dev" not in str(plan.install_command)
    assert "--omit=dev" in str(
        node_plan({"scripts": scripts, "dependencies": {"husky": "9"}}).install_command
    )


@pytest.mark.parametrize("package", [{}, {"packageManager": "npm@11.0.0", "scripts": {"start": "bun a.ts"}}])
def test_another_runtime_is_refused_by_name(node_plan, package: Mapping[str, Any]) -> None:
    with pytest.raises(PlanError, match="which has no runtime here yet"):
        node_plan({"scripts": {"start": "deno run a.ts"}, **package})


@pytest.mark.parametrize("start", ["bun a.ts", "A=1 bun run a.ts", "bunx tsx a.ts"])
def test_what_a_script_runs_by_bun_has_it(node_plan, start: str) -> None:
    plan = node_plan({"scripts": {"start": start}})
    assert (plan.run_command, plan.install_command) == (start, "bun install --no-save --production")
    assert "npm install --global --no-audit --no-fund bun@1" in render_dockerfile(plan)


def test_bun_installs_by_its_lock_and_runs_files(make_tree) -> None:
    package = json.dumps({"dependencies": {"ms": "2.1.3"}, "packageManager": "bun@1.3.2"})
    plan = make_plan(make_tree({"package.json": package, "bun.lock": "{}", "job.ts": "console.log(1)"}))
    assert plan.package_manager == "bun"
    assert plan.install_command == "bun install --frozen-lockfile --production"
    assert plan.command == ("bun", "job.ts")
    assert render_dockerfile(plan).count("bun@1.3.2") == 2
    unlocked = make_plan(make_tree({"package.json": package, "job.ts": "console.log(1)"}))
    assert unlocked.install_command == "bun install --no-save --production"


def test_what_bun_builds_leaves_behind_what_only_that_needed(make_tree) -> None:
    package = {"scripts": {"build": "bun build.ts", "start": "bun dist/a.js"}, "devDependencies": {"ms": "2"}}
    text = render_dockerfile(make_plan(make_tree({"package.json": json.dumps(package), "bun.lock": "{}"})))
    assert "rm -rf node_modules && bun install --frozen-lockfile --production" in text


@pytest.mark.parametrize(
    "name",
    [
        ".eslintrc.js",
        ".pnp.cjs",
        "jest.preset.js",
        "karma.conf.js",
        "vitest.workspace.ts",
        "gulpfile.js",
        "jest.setup.js",
    ],
)
def test_what_configures_a_tool_is_no_program(make_tree, name: str) -> None:
    with pytest.raises(NoStartCommand):
        make_plan(make_tree({"package.json": '{"devDependencies": {"x": "1"}}', name: ""}))
    with pytest.raises(PlanError, match="Nothing here says how to build this"):
        make_plan(make_tree({name: ""}))


@pytest.mark.parametrize(
    ("scripts", "development", "is_seen"),
    [
        ({"build": "tsc"}, {"typescript": "5"}, False),
        ({"prepare": "husky"}, {"husky": "9"}, False),
        ({"build": "make"}, {}, True),
        ({}, {"typescript": "5"}, True),
    ],
)
def test_what_would_leave_out_what_the_build_needs_is_not_seen_while_installing(
    node_plan, scripts: Mapping[str, str], development: Mapping[str, str], is_seen: bool
) -> None:
    package = {
        "scripts": {"start": "node a.js", **scripts},
        "devDependencies": development,
        "dependencies": {"left-pad": "1"},
    }
    text = render_dockerfile(node_plan(package), build_env=("NODE_ENV", "OTHER"))
    before_install = text.partition("npm install --no-audit")[0]
    assert ("ARG NODE_ENV" in before_install) == is_seen
    assert "ARG OTHER" in before_install
    if "build" in scripts:
        assert "ARG NODE_ENV" in text.partition("npm run build")[0]


@pytest.mark.parametrize(
    ("package", "more"),
    [({"workspaces": ["apps/*"]}, {}), ({}, {"pnpm-workspace.yaml": "packages: [apps/*]\n"})],
)
def test_a_workspace_without_a_command_names_its_packages(
    make_tree, package: Mapping[str, Any], more: Mapping[str, str]
) -> None:
    members = {"apps/sync/package.json": "{}", "apps/report/package.json": "{}", "docs/x.md": ""}
    with pytest.raises(NoStartCommand, match="root_directory /apps/report, root_directory /apps/sync"):
        make_plan(make_tree({"package.json": json.dumps(package), **members, **more}))


LOCK = "package-lock.json"


def locked(**versions: str) -> str:
    packages = {f"node_modules/{name}": {"version": version} for name, version in versions.items()}
    return json.dumps({"lockfileVersion": 3, "packages": {"": {}, **packages}})


@pytest.mark.parametrize(
    ("asked", "lock", "lacks"),
    [
        ({"ms": "2.1.3"}, locked(), "ms@2.1.3"),
        ({"ms": "^2.1.0"}, locked(ms="1.0.0"), "ms@^2.1.0"),
        ({"ms": "2.1.3"}, json.dumps({"lockfileVersion": 1, "dependencies": {}}), "ms@2.1.3"),
        ({f"p{each:02}": "1" for each in range(12)}, locked(), "p09@1 and 2 more"),
        ({"a": "npm:b@1", "c": "file:./c", "d": "x/y"}, locked(a="2.0.0", d="9.0.0", c="1.0.0"), ""),
        ({"ms": "latest", "a": "", "b": "1 || 2"}, locked(ms="1.0.0", a="1.0.0", b="2.5.0"), ""),
        ({"c": "2.0.0-rc.1"}, locked(c="1.0.0"), ""),
        ({"ms": "2"}, json.dumps({"lockfileVersion": 1, "dependencies": {"ms": {"version": "2.0.0"}}}), ""),
        ({"ms": "2"}, "{ no lock", ""),
    ],
)  # fmt: skip
def test_a_lock_that_was_not_made_from_the_package_is_not_insisted_on(
    node_plan, asked, lock, lacks: str
) -> None:
    plan = node_plan({"dependencies": asked, "scripts": {"job": "node x.js"}}, {LOCK: lock})
    command = "npm install" if lacks else "npm ci"
    assert plan.install_command == f"{command} --no-audit --no-fund --omit=dev"
    assert [each for each in plan.warnings if "Run npm install and commit" in each and lacks in each] == list(
        plan.warnings
    )
    assert bool(plan.warnings) is bool(lacks)
