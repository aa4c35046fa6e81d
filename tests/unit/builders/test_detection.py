"""What a tree is taken for, and the sentence when it isn't clear."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, NotRecognised, PlanError
from builders.render import render_dockerfile
from builders.source import SourceTree

DEPENDENT = '{"dependencies": {"ms": "2"}, "scripts": {"start": "node x.js"}}'
TOOLING = '{"devDependencies": {"prettier": "3"}, "scripts": {"lint": "prettier ."}}'


@pytest.mark.parametrize(
    ("files", "runtime"),
    [
        ({"requirements.txt": "", "job.py": "print()"}, "python"),
        ({"package.json": DEPENDENT}, "node"),
        ({"go.mod": "module x", "main.go": "package main\nfunc main() {}\n"}, "go"),
        ({"main.go": "package main\n\nfunc main() {}\n"}, "go"),
        ({"tidy.sh": ""}, "shell"),
        ({"tidy": ""}, None),
        ({"Procfile": "job: true"}, "procfile"),
        ({"Dockerfile": "FROM x", "requirements.txt": "", "job.py": "print()"}, "dockerfile"),
        ({"Containerfile": "FROM x", "package.json": DEPENDENT}, "dockerfile"),
        ({"docker/Dockerfile": "FROM x", "Dockerfile.dev": "FROM y", "job.py": "print()"}, "python"),
        # A back end beside a page; tooling beside anything.
        ({"package.json": DEPENDENT, "requirements.txt": "", "job.py": "print()"}, "python"),
        (
            {"package.json": DEPENDENT, "go.mod": "module x", "main.go": "package main\nfunc main() {}\n"},
            "go",
        ),
        ({"package.json": DEPENDENT, "Gemfile": "", "job.rb": "puts 1"}, "ruby"),
        ({"package.json": DEPENDENT, "Cargo.toml": "[package]\nname='x'", "src/main.rs": ""}, "rust"),
        ({"package.json": TOOLING, "job.py": "print()"}, "python"),
        ({"package.json": TOOLING, "go.mod": "module x", "main.go": "package main\nfunc main() {}\n"}, "go"),
        ({"pyproject.toml": "[tool.ruff]\n", "package.json": DEPENDENT}, "node"),
        # What is run decides among equals.
        ({"package.json": DEPENDENT, "requirements.txt": "", "Procfile": "job: node x.js"}, "node"),
        ({"package.json": DEPENDENT, "requirements.txt": "", "Procfile": "job: python x.py"}, "python"),
        # Languages without a runtime.
        ({"build.gradle": "", "package.json": DEPENDENT}, None),
        ({"mix.exs": "", "x.py": "print()"}, None),
        ({"App.csproj": ""}, None),
        ({"Cargo.toml": "", "pyproject.toml": "[project]\nname='x'\n", "main.py": "print()"}, "python"),
        ({"Cargo.toml": "", "Dockerfile": "FROM x"}, "dockerfile"),
        ({"environment.yml": "", "main.py": "print()"}, None),
        ({}, None),
        ({"index.html": "", "public/x.css": ""}, None),
    ],
)
def test_runtime(make_tree, files: Mapping[str, str], runtime: str | None) -> None:
    tree = make_tree(files)
    if runtime is None:
        with pytest.raises(NotRecognised, match=r"Add a Dockerfile"):
            make_plan(tree)
    else:
        assert make_plan(tree).runtime == runtime


def test_a_run_command_is_enough_for_anything(make_tree) -> None:
    plan = make_plan(make_tree({"data.csv": ""}), BuildSettings(run_command="wc -l data.csv"))
    assert (plan.runtime, plan.command) == ("procfile", ("wc", "-l", "data.csv"))


def test_the_root_directory_is_where_it_looks(make_tree) -> None:
    tree = make_tree({"Dockerfile": "FROM x", "api/job.py": "print()", "api/requirements.txt": ""})
    plan = make_plan(tree, BuildSettings(root_directory="/api"))
    assert (plan.runtime, plan.root_directory) == ("python", "api")
    assert make_plan(tree).runtime == "dockerfile"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            BuildSettings(root_directory="/none"),
            r"root_directory '/none' is no directory of the repository\.",
        ),
        (BuildSettings(root_directory="/../x"), r"has '\.\.' in it"),
        (BuildSettings(root_directory="/out"), r"root_directory '/out' is no directory"),
        (BuildSettings(mode="dockerfile"), r"There is no Dockerfile at /Dockerfile"),
        (BuildSettings(dockerfile="/ops/Dockerfile"), r"There is no Dockerfile at /ops/Dockerfile"),
        (BuildSettings(dockerfile="/linked"), r"There is no Dockerfile at /linked \(a link that leaves"),
        (BuildSettings(target="x"), r"target 'x' is set, but there is no Dockerfile"),
        (BuildSettings(run_command="echo 'open"), r"run command of the settings: .*no closing quotation"),
    ],
)
def test_settings_that_do_not_fit(make_tree, settings: BuildSettings, sentence: str) -> None:
    tree = make_tree({"job.py": "print()"})
    (tree.root.parent / "outside").write_text("FROM x\n")
    (tree.root / "linked").symlink_to("../outside")
    (tree.root / "out").symlink_to("..")
    with pytest.raises(PlanError, match=sentence):
        make_plan(tree, settings)


def test_a_dockerfile_elsewhere_is_found_from_the_root_and_from_the_directory(make_tree) -> None:
    tree = make_tree(
        {"ops/job.Dockerfile": "FROM a", "api/Dockerfile": "FROM b", "api/x/Dockerfile": "FROM c"}
    )
    for settings, path in (
        (BuildSettings(dockerfile="/ops/job.Dockerfile", root_directory="/api"), "ops/job.Dockerfile"),
        (BuildSettings(root_directory="/api"), "api/Dockerfile"),
        (BuildSettings(dockerfile="/x/Dockerfile", root_directory="/api"), "api/x/Dockerfile"),
    ):
        assert make_plan(tree, settings).dockerfile_path == path


def test_the_target_is_a_stage_of_the_dockerfile(make_tree) -> None:
    text = (
        'FROM a AS one\nENTRYPOINT ["x"]\nFROM --platform=x b as Two\nCMD run \\\n  it\n# FROM c AS three\n'
    )
    tree = make_tree({"Dockerfile": text})
    assert make_plan(tree, BuildSettings(target="one")).run_command == "x"
    assert make_plan(tree, BuildSettings(target="two")).run_command == "/bin/sh -c 'run    it'"
    assert make_plan(tree).run_command == "/bin/sh -c 'run    it'"
    with pytest.raises(PlanError, match=r"Dockerfile has no stage 'three' to stop at; it has one, Two\."):
        make_plan(tree, BuildSettings(target="three"))


def test_a_dockerfile_warns_of_what_is_left_aside(make_tree) -> None:
    tree = make_tree({"Dockerfile": "# syntax=docker/dockerfile:1\nFROM x\n"})
    plan = make_plan(tree, BuildSettings(build_command="make"))
    assert "docker/dockerfile:1" in plan.warnings[0]
    assert plan.warnings[1] == "build_command left aside: the Dockerfile says how to build."


def test_a_dockerfile_without_from_describes_nothing(make_tree) -> None:
    with pytest.raises(PlanError, match="Dockerfile has no FROM line"):
        make_plan(make_tree({"Dockerfile": "# soon\n"}))


@pytest.mark.parametrize(
    ("procfile", "chosen"),
    [
        ("web: a\njob: b\ncron: c\n", "b"),
        ("worker: w\ncron: c\n", "c"),
        ("web: a\nworker: w\n", "w"),
        ("web: a\nrelease: r\nnightly: n\n", "n"),
        ("web: a\nrelease: r\n", None),
        ("import: a\nexport: b\n", None),
    ],
)
def test_a_procfile_runs_what_ends(make_tree, procfile: str, chosen: str | None) -> None:
    tree = make_tree({"Procfile": procfile, "requirements.txt": ""})
    if chosen is None:
        with pytest.raises(NoStartCommand, match="found process"):
            make_plan(tree)
    else:
        plan = make_plan(tree)
        assert plan.run_command == chosen
        assert bool(plan.warnings) == ("web:" in procfile)


def test_a_web_process_runs_when_it_is_named(make_tree) -> None:
    plan = make_plan(make_tree({"Procfile": "web: serve\n"}), BuildSettings(run_command="serve"))
    assert plan.run_command == "serve"


def test_without_a_start_command_there_is_a_plan_only_if_jobs_bring_their_own(make_tree) -> None:
    tree = make_tree({"requirements.txt": "", "a.py": "print()", "b.py": "print()"})
    with pytest.raises(NoStartCommand, match=r"^No start command: found a\.py, b\.py\. Set run_command"):
        make_plan(tree)
    plan = make_plan(tree, BuildSettings(start_required=False))
    assert plan.run_command is None
    assert plan.warnings[0].startswith("No start command")
    assert plan.command[0] == "/bin/sh"


def test_json_has_what_the_interface_promises(make_tree) -> None:
    plan = make_plan(make_tree({"job.py": "print()"})).to_json()
    promised = (
        "runtime version version_source package_manager install_command build_command run_command processes"
    )
    assert {*promised.split(), "reasons"} <= plan.keys()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"package.json": "{"}, r"package\.json is not JSON"),
        ({"package.json": "[" * 100_000}, r"package\.json is not JSON: it is nested too deeply\."),
        ({"package.json": f'{{"a": {"9" * 5000}}}'}, r"package\.json is not JSON: Exceeds the limit"),
        (
            {"pyproject.toml": f"a = {'[' * 100_000}"},
            r"pyproject\.toml is not TOML: it is nested too deeply\.",
        ),
        ({"pyproject.toml": f"a = {'9' * 5000}"}, r"pyproject\.toml is not TOML: Exceeds the limit"),
        (
            {"main.py": "print()", "pyproject.toml": f"[project]\nrequires-python = '>={'9' * 5000}'"},
            "can't be read as a version constraint",
        ),
        ({"pyproject.toml": "["}, r"pyproject\.toml is not TOML"),
        ({"Pipfile.lock": "x"}, r"Pipfile\.lock is not JSON"),
        ({"job.sh": "", "apt.txt": "jq; rm -rf /"}, r"apt\.txt: 'jq; rm -rf /' is not the name"),
    ],
)
def test_broken_manifests_are_named(make_tree, files: Mapping[str, str], sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        make_plan(make_tree(files))


def test_an_interpreter_that_is_not_in_the_image_is_noted(make_tree) -> None:
    plan = make_plan(make_tree({"job.sh": "#!/usr/bin/env -S zsh -e\n"}))
    assert plan.command == ("zsh", "-e", "job.sh")
    assert plan.warnings == ("'zsh' may not be in the image: list its Debian package in apt.txt.",)


KEYS = (
    "scripts",
    "start",
    "job",
    "build",
    "dependencies",
    "devDependencies",
    "engines",
    "node",
    "volta",
    "packageManager",
    "main",
    "bin",
    "workspaces",
    "project",
    "tool",
    "poetry",
    "uv",
    "sources",
    "requires-python",
    "dynamic",
    "python",
    "build-system",
    "name",
    "_meta",
    "requires",
    "python_version",
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 30)
    | st.sampled_from([">=3.11", "18", "x", "", "node x.js", "a b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
MANIFEST = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value if value is not None else "none")


@given(
    MANIFEST | VALUES,
    MANIFEST,
    st.sets(st.sampled_from(["uv.lock", "index.js", "main.py", "yarn.lock", "setup.py"])),
)
def test_any_manifest_gives_a_plan_or_a_sentence(package: object, project: dict, others: set[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for other in others:
            (root / other).write_text("")
        for file, text in (
            ("package.json", json.dumps(package)),
            (
                "pyproject.toml",
                "".join(f"{json.dumps(key)} = {_toml(item)}\n" for key, item in project.items()),
            ),
            ("Pipfile.lock", json.dumps(package)),
        ):
            (root / file).write_text(text)
            try:
                plan = make_plan(SourceTree(root))
            except PlanError as error:
                sentence = str(error)
            else:
                sentence = plan.reasons[-1]
                assert render_dockerfile(plan) == render_dockerfile(make_plan(SourceTree(root)))
            assert sentence.endswith(".")


@pytest.mark.parametrize(
    "files",
    [
        {"settings.gradle.kts": "", "gradlew": "#!/bin/sh\n"},
        {"mvnw": "#!/bin/sh\n"},
        {"update.sh": "", "app.jar": ""},
    ],
)
def test_a_wrapper_of_java_is_no_shell_script(make_tree, files: Mapping[str, str]) -> None:
    with pytest.raises(NotRecognised, match="which has no runtime here yet"):
        make_plan(make_tree(files))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"cpanfile": "", "report.pl": ""},
            "This looks like Perl (cpanfile), which has no runtime here yet.",
        ),
        ({"report.pl": ""}, "This looks like Perl (report.pl), which has no runtime here yet."),
        ({"renv.lock": "", "report.R": ""}, "This looks like R (renv.lock), which has no runtime here yet."),
        (
            {"Makefile": "", "main.c": ""},
            "This looks like C without CMake (main.c), which has no runtime here yet.",
        ),
        (
            {"index.html": "", "style.css": ""},
            "This is a static site (index.html): nothing in it runs, and a job serves no pages.",
        ),
    ],
)
def test_what_is_not_built_is_called_by_its_name(make_tree, files: Mapping[str, str], said: str) -> None:
    with pytest.raises(NotRecognised) as refused:
        make_plan(make_tree(files))
    assert str(refused.value) == f"{said} Add a Dockerfile or set run_command."


def test_a_loose_file_of_another_language_refuses_nothing_that_is_built(make_tree) -> None:
    assert make_plan(make_tree({"job.sh": "echo x\n", "tool.pl": "", "index.html": ""})).runtime == "shell"
