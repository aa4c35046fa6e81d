from collections.abc import Mapping

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile

MAIN = "package main\n\nfunc main() {}\n"


@pytest.mark.parametrize(
    ("module", "version"),
    [
        ("module x\n\ngo 1.26\n", "1.26"),
        ("module x\n\ngo 1.26.3\n\ntoolchain go1.27.1\n", "1.27"),
        ("module x\n\ngo 1.21\n", "1.27"),
        ("module x\n\ngo 1.31\n", "1.31"),
        ("module x\n", "1.27"),
    ],
)
def test_version(make_tree, module: str, version: str) -> None:
    plan = make_plan(make_tree({"go.mod": module, "main.go": MAIN}))
    assert plan.version == version
    assert f"FROM golang:{version}-trixie AS build" in render_dockerfile(plan)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"main.go": MAIN}, "tool"),
        ({"cmd/sync/main.go": MAIN}, "sync"),
        ({"cmd/sync/main.go": MAIN, "cmd/job/main.go": MAIN}, "job"),
        ({"main.go": MAIN, "cmd/sync/main.go": MAIN}, "tool"),
        ({"cmd/a/main.go": MAIN, "gen.go": "//go:build ignore\n\n" + MAIN, "lib.go": "package tool\n"}, "a"),
        ({"cmd/a/main.go": MAIN, "cmd/a/a_test.go": MAIN, "examples/b/main.go": MAIN}, "a"),
        ({"cmd/a/flags.go": "package main\n", "cmd/a/main.go": MAIN}, "a"),
    ],
)
def test_the_binary_to_run(make_tree, files: Mapping[str, str], command: str) -> None:
    plan = make_plan(make_tree({"go.mod": "module example.com/tool/v2\n\ngo 1.26\n", **files}))
    assert plan.run_command == command


@pytest.mark.parametrize("module", ['module "example.com/tool"\n', "module `example.com/tool` // quoted\n"])
def test_a_module_may_be_quoted(make_tree, module: str) -> None:
    assert make_plan(make_tree({"go.mod": module, "main.go": MAIN})).run_command == "tool"


def test_several_are_all_built_and_named(make_tree) -> None:
    tree = make_tree({"go.mod": "module x\n", "cmd/a/main.go": MAIN, "cmd/b/main.go": MAIN})
    with pytest.raises(NoStartCommand, match="found process 'a', process 'b'"):
        make_plan(tree)


def test_nothing_to_build_is_refused(make_tree) -> None:
    with pytest.raises(PlanError, match="no main package"):
        make_plan(make_tree({"go.mod": "module x\n", "lib.go": "package lib\n"}))


def test_modules_come_before_the_source(make_tree) -> None:
    text = render_dockerfile(make_plan(make_tree({"go.mod": "module x\n", "go.sum": "", "main.go": MAIN})))
    assert text.index("COPY go.mod go.sum ./") < text.index("go mod download") < text.index("COPY . ./")


def test_without_a_module_there_is_one_for_the_build(make_tree) -> None:
    plan = make_plan(make_tree({"main.go": MAIN}))
    assert (plan.build_command or "").startswith("go mod init job && go build")
    assert plan.run_command == "job"


READS = 'package main\n\nimport "os"\n\nfunc main() {{ os.ReadFile({}) }}\n'


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, ""),
        ({"README.md": "x", "internal/log/log.go": "package log\n"}, ""),
        ({"main.go": READS.format('"gone.yaml"')}, ""),
        ({"main.go": READS.format('"conf/job.yaml"'), "conf/job.yaml": "x"}, "main.go names conf/job.yaml"),
        ({"main.go": READS.format('"./conf/*.sql"'), "conf/a.sql": "x"}, "main.go names conf"),
        ({"main.go": READS.format("`conf`"), "conf/deep/a.sql": "x"}, "main.go names conf"),
        ({"main.go": READS.format('"/app/a.csv"'), "a.csv": "x"}, "main.go names a.csv"),
        ({"main.go": READS.format('"log"'), "log/log.go": "package log\n"}, ""),
        ({"main.go": 'package main\n\nimport "log"\n\nfunc main() {}\n', "log/a.txt": "x"}, ""),
        ({"main.go": "//go:embed conf/*.sql\n" + READS.format('"conf/a.sql"'), "conf/a.sql": "x"}, ""),
        ({"main.go": READS.format('"dist/a.js"'), "dist/a.js": "x"}, "main.go names dist/a.js"),
        ({"Procfile": "job: tool --list a.csv\n", "a.csv": "x"}, "`tool --list a.csv` names a.csv"),
        ({"Procfile": "job: sh run.sh\n", "run.sh": "tool"}, "`sh run.sh` is none of the binaries"),
    ],
)
def test_the_source_is_in_the_image_where_something_opens_it(make_tree, files, why: str) -> None:
    plan = make_plan(make_tree({"go.mod": "module example.com/tool\n", "main.go": MAIN, **files}))
    assert ("COPY . /app/" in render_dockerfile(plan)) == bool(why)
    said = f"The image has the source as well: {why}." if why else "The image has no source: "
    assert any(reason.startswith(said) for reason in plan.reasons)


def test_a_build_command_of_the_user_keeps_the_source(make_tree) -> None:
    tree = make_tree({"go.mod": "module example.com/tool\n", "main.go": MAIN})
    plan = make_plan(tree, BuildSettings(build_command="make", run_command="tool"))
    assert "COPY . /app/" in render_dockerfile(plan)


def test_a_large_repository_keeps_its_source(make_tree) -> None:
    many = {f"lib/f{number}.go": "package lib\n" for number in range(501)}
    plan = make_plan(make_tree({"go.mod": "module example.com/tool\n", "main.go": MAIN, **many}))
    assert "COPY . /app/" in render_dockerfile(plan)
