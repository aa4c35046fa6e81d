from collections.abc import Mapping

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile

JOB = {"job.py": "print()"}


@pytest.mark.parametrize(
    ("files", "version", "source"),
    [
        ({".python-version": "# pinned\npython-3.12\n"}, "3.12", ".python-version"),
        ({".python-version": "3.12.4"}, "3.12.4", ".python-version"),
        ({".python-version": "cpython-3.12.1-linux-x86_64-gnu"}, "3.12", ".python-version"),
        ({".python-version": "cpython@3.12\n"}, "3.12", ".python-version"),
        ({".python-version": "Python3.11"}, "3.11", ".python-version"),
        ({".python-version": "3\n"}, "3.13", ".python-version"),
        ({".python-version": ">=3.11,<3.13"}, "3.12", ".python-version"),
        ({"runtime.txt": "python-3.11.9\n"}, "3.11.9", "runtime.txt"),
        ({".tool-versions": "nodejs 20\npython 3.12.1\n"}, "3.12.1", ".tool-versions"),
        ({"mise.toml": '[tools]\npython = "3.10"\n'}, "3.10", "mise.toml"),
        ({".python-version": "latest\n"}, "3.13", ".python-version"),
        ({".python-version": ">= 3.10\n"}, "3.13", ".python-version"),
        ({".python-version": "3.16\n"}, "3.16", ".python-version"),
        ({"pyproject.toml": '[project]\nname="x"\nrequires-python = ">=3.15"\n'}, "3.15", "requires-python"),
        ({"Pipfile": '[requires]\npython_version = "3.12"\n'}, "3.12", "Pipfile"),
        ({"Pipfile.lock": '{"_meta": {"requires": {"python_version": "3.11"}}}'}, "3.11", "Pipfile.lock"),
        ({"pyproject.toml": '[project]\nname="x"\nrequires-python = ">=3.10"\n'}, "3.13", "requires-python"),
        (
            {"pyproject.toml": '[project]\nname="x"\nrequires-python = "~=3.12.0"\n'},
            "3.12",
            "requires-python",
        ),
        ({"pyproject.toml": '[project]\nname="x"\nrequires-python = ">=3.14"\n'}, "3.14", "requires-python"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9,<3.12"\n'}, "3.11", "poetry"),
        ({}, "3.13", "default"),
        ({".python-version": "3.12", "runtime.txt": "python-3.11"}, "3.12", ".python-version"),
    ],
)
def test_version(make_tree, files: Mapping[str, str], version: str, source: str) -> None:
    plan = make_plan(make_tree({**JOB, **files}))
    assert plan.version == version
    assert source in (plan.version_source or "")
    on = "-slim" if version.count(".") > 1 else "-slim-trixie"
    assert f"FROM python:{version}{on} AS " in render_dockerfile(plan)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {".python-version": "pypy3.10"},
            r"\.python-version asks for Python 'pypy3\.10', which is not a CPython",
        ),
        (
            {".python-version": "2.7"},
            r"\.python-version asks for Python '2\.7', but base images exist for 3\.7, 3\.8,",
        ),
        ({"pyproject.toml": '[project]\nname="x"\nrequires-python = "<3"\n'}, r"asks for Python '<3', but"),
        ({"pyproject.toml": '[project]\nname="x"\nrequires-python = "new"\n'}, r"'new' can't be read"),
    ],
)
def test_a_version_nothing_can_give_is_refused(make_tree, files: Mapping[str, str], sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        make_plan(make_tree({**JOB, **files}))


def test_the_end_of_a_release_is_warned_of(make_tree) -> None:
    plan = make_plan(make_tree({**JOB, ".python-version": "3.9.1"}))
    assert plan.warnings == ("Python 3.9 has had no security fixes since 2025-10-31: move to a newer one.",)


PACKAGE = '[project]\nname = "x"\nversion = "1"\n[build-system]\nrequires = ["hatchling"]\n'


@pytest.mark.parametrize(
    ("files", "manager", "install"),
    [
        ({"requirements.txt": "six"}, "pip", "pip install -r requirements.txt"),
        (
            {"uv.lock": "", "pyproject.toml": "[project]\nname='x'\n"},
            "uv",
            "uv sync --locked --no-dev --no-install-project",
        ),
        (
            {"uv.lock": "", "pyproject.toml": PACKAGE},
            "uv",
            "uv sync --locked --no-dev --no-install-project && uv sync --locked --no-dev --no-editable",
        ),
        (
            {"uv.lock": "", "pyproject.toml": "", "requirements.txt": ""},
            "uv",
            "uv sync --locked --no-dev --no-install-project",
        ),
        (
            {"poetry.lock": "", "uv.lock": "", "pyproject.toml": "[tool.poetry]\npackage-mode=false"},
            "poetry",
            None,
        ),
        (
            {"pdm.lock": "", "pyproject.toml": '[project]\nname="x"\ndependencies=["b"]\n'},
            "pip",
            "pip install b",
        ),
        ({"Pipfile": ""}, "pipenv", "pipenv install --skip-lock"),
        ({"Pipfile": "", "Pipfile.lock": "{}"}, "pipenv", "pipenv install --deploy --ignore-pipfile"),
        ({"setup.py": ""}, "pip", "pip install ."),
        (
            {"pyproject.toml": '[project]\nname="x"\ndependencies=["a>=1", "b"]\n'},
            "pip",
            "pip install 'a>=1' b",
        ),
        ({"pyproject.toml": PACKAGE}, "pip", "pip install --no-deps ."),
        (
            {"requirements/prod.txt": "-r base.txt", "requirements/base.txt": ""},
            "pip",
            "pip install -r requirements/prod.txt",
        ),
        ({}, None, None),
    ],
)
def test_package_manager(
    make_tree, files: Mapping[str, str], manager: str | None, install: str | None
) -> None:
    plan = make_plan(make_tree({**JOB, **files}))
    assert plan.package_manager == manager
    assert install is None or plan.install_command == install


def test_what_is_left_aside_is_said(make_tree) -> None:
    files = {"uv.lock": "", "poetry.lock": "", "requirements.txt": "", "pyproject.toml": "[tool.uv]\nx=1\n"}
    plan = make_plan(make_tree({**JOB, **files}))
    assert plan.warnings == ("poetry.lock, requirements.txt left aside: uv.lock is used.",)


def test_only_what_names_the_dependencies_is_copied_before_them(make_tree) -> None:
    files = {"requirements.txt": "-r more.txt\n-c pins.txt\nsix\n", "more.txt": "", "pins.txt": ""}
    text = render_dockerfile(make_plan(make_tree({**JOB, **files})))
    assert text.index("COPY requirements.txt more.txt pins.txt ./") < text.index("pip install -r")
    assert text.index("pip install -r") < text.index("COPY . /app/")


@pytest.mark.parametrize("line", ["-e .", "./lib", "x @ file:./x", "-r requirements/base.txt"])
def test_requirements_from_the_source_need_the_source(make_tree, line: str) -> None:
    text = render_dockerfile(make_plan(make_tree({**JOB, "requirements.txt": line})))
    assert text.index("COPY . ./") < text.index("pip install -r")


def test_a_uv_workspace_needs_the_source(make_tree) -> None:
    project = '[project]\nname="x"\n[tool.uv.workspace]\nmembers = ["libs/*"]\n'
    text = render_dockerfile(make_plan(make_tree({**JOB, "uv.lock": "", "pyproject.toml": project})))
    assert text.index("COPY . ./") < text.index("uv sync")


@pytest.mark.parametrize(
    ("settings", "keeps"),
    [
        (BuildSettings(), False),
        (BuildSettings(install_command="pip install six"), False),
        (BuildSettings(install_command="python -m pip install six"), True),
        (BuildSettings(build_command="python setup.py build_ext"), True),
        (BuildSettings(run_command="pip list"), True),
    ],
)
def test_the_environment_has_pip_only_where_a_command_needs_it_there(
    make_tree, settings: BuildSettings, keeps: bool
) -> None:
    text = render_dockerfile(make_plan(make_tree({**JOB, "requirements.txt": "six"}), settings))
    assert ("python -m venv --without-pip /opt/venv\n" in text) != keeps
    assert "PIP_PYTHON=/opt/venv/bin/python" in text


def test_an_install_command_of_the_user_keeps_the_tool(make_tree) -> None:
    tree = make_tree({**JOB, "uv.lock": "", "pyproject.toml": "[project]\nname='x'\n"})
    plan = make_plan(tree, BuildSettings(install_command="uv sync --group job"))
    text = render_dockerfile(plan)
    assert plan.install_command == "uv sync --group job"
    assert "pip install uv==" in text
    assert text.index("COPY . ./") < text.index("uv sync --group job")


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"main.py": "print()", "job.py": "print()"}, "python main.py"),
        ({"nightly/__main__.py": "print()"}, "python -m nightly"),
        ({"only.py": "print()", "test_only.py": "", "conftest.py": ""}, "python only.py"),
        ({"a.py": "A = 1", "b.py": 'if __name__ == "__main__":\n    print()\n'}, "python b.py"),
        ({"a.py": "print()", "b.py": "print()", "run.sh": "#!/bin/bash -e\n"}, "bash -e run.sh"),
        ({"main.py": "print()", "pyproject.toml": PACKAGE + '[project.scripts]\nreport = "x:y"\n'}, "report"),
        ({"pyproject.toml": PACKAGE + '[project.scripts]\na = "x:a"\njob = "x:b"\n'}, "job"),
        ({"pyproject.toml": PACKAGE + '[project.scripts]\na = "x:a"\nx = "x:b"\n'}, "x"),
    ],
)
def test_start_command(make_tree, files: Mapping[str, str], command: str) -> None:
    assert make_plan(make_tree({"requirements.txt": "", **files})).run_command == command


def test_requirements_that_lead_to_any_number_of_files_are_refused(make_tree) -> None:
    listed = "".join(f"-r other{number}.txt\n" for number in range(20_000))
    with pytest.raises(PlanError, match=r"requirements.txt leads to more than 100 files of requirements\."):
        make_plan(make_tree({**JOB, "requirements.txt": listed}))


SCRIPT = """#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = [
#   "six==1.16.0",
#   "rich>=13; python_version > '3.8'",
# ]
# ///
import six
"""


SERVER = "import uvicorn\n\ndef main():\n    uvicorn.run('a:a')\n"
BARE = '[project]\nname = "x"\n[project.scripts]\n'


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": PACKAGE + '[project.scripts]\nserve = "x:main"\n'},
        {"pyproject.toml": PACKAGE + '[project.scripts]\nx-server = "x:main"\n'},
        {"pyproject.toml": PACKAGE + '[project.scripts]\nrun = "x.cli:main"\n', "src/x/cli.py": SERVER},
    ],
)
def test_a_declared_script_that_serves_is_not_run_by_itself(make_tree, files: Mapping[str, str]) -> None:
    with pytest.raises(NoStartCommand, match=r"found process '.*'\. The script '.*' is a server or migrates"):
        make_plan(make_tree(files))


def test_scripts_of_what_is_not_installed_are_offered_by_their_function(make_tree) -> None:
    files = {"pyproject.toml": f'{BARE}report = "tasks_of.x:report"\nclean = "tasks_of.x:clean"\n'}
    tree = make_tree({**files, "tasks_of/x.py": "def report():\n    print()\n", "tasks_of/__init__.py": ""})
    with pytest.raises(NoStartCommand, match="found process 'report', process 'clean'"):
        make_plan(tree)
    plan = make_plan(tree, BuildSettings(start_required=False))
    assert plan.processes["report"] == (
        "python -c 'import sys; from tasks_of.x import report; sys.exit(report())'"
    )


def test_what_only_defines_things_is_passed_over_for_what_runs(make_tree) -> None:
    flask = "from flask import Flask\napp = Flask(__name__)\n"
    plan = make_plan(make_tree({"app.py": flask, "requirements.txt": "flask", "job.py": "print()"}))
    assert plan.run_command == "python job.py"
    with pytest.raises(
        NoStartCommand, match=r"found app\.py\. app\.py defines a Flask app and runs nothing\. Set"
    ):
        make_plan(make_tree({"app.py": flask, "requirements.txt": "flask"}))


def test_a_script_that_lists_its_own_dependencies_gets_them(make_tree) -> None:
    plan = make_plan(make_tree({"job.py": SCRIPT}))
    assert plan.install_command == "pip install six==1.16.0 'rich>=13; python_version > '\"'\"'3.8'\"'\"''"
    assert (plan.version, plan.version_source) == ("3.12", "job.py requires-python '>=3.11,<3.13'")
    assert "Installs with pip: job.py lists the dependencies." in plan.reasons


def test_what_a_script_lists_beside_others_is_left_aside_with_a_word(make_tree) -> None:
    plan = make_plan(
        make_tree({"job.py": SCRIPT, "requirements.txt": "requests\n", ".python-version": "3.12"})
    )
    assert plan.install_command == "pip install -r requirements.txt"
    assert plan.warnings == ("What job.py lists in its block '# /// script' is left aside.",)


@pytest.mark.parametrize(
    "text",
    [
        "# /// script\nprint()\n",
        "# /// script\n# dependencies = []\nprint()\n",
        "# /// other\n# a = 1\n# ///\nprint()\n",
    ],
)
def test_what_is_no_whole_block_is_a_comment(make_tree, text: str) -> None:
    assert make_plan(make_tree({"job.py": text})).install_command is None


def test_a_block_that_can_not_be_read_is_said(make_tree) -> None:
    with pytest.raises(PlanError, match=r"The block '# /// script' of job\.py is not TOML"):
        make_plan(make_tree({"job.py": "# /// script\n# dependencies = [\n# ///\n"}))


@pytest.mark.parametrize(
    "name",
    [
        "requirments.txt", "Requirements.txt", "requirements.in", "requirements-prod.txt", "dev-requirements.txt",
        "pylock.toml", "setup.cfg", "pyproject.toml",
    ],
)  # fmt: skip
def test_a_list_that_nothing_installs_is_warned_of(make_tree, name: str) -> None:
    contents = {
        "setup.cfg": "[options]\ninstall_requires = six\n",
        "pyproject.toml": "[dependency-groups]\nmain = ['six']\n",
    }
    plan = make_plan(make_tree({"main.py": "print()", name: contents.get(name, "six\n")}))
    assert plan.install_command is None
    assert [warning.partition(" ")[0] for warning in plan.warnings] == [name]
    assert "nothing installs them" in plan.warnings[0]


@pytest.mark.parametrize(
    ("web", "program"),
    [
        ("python server.py", "server.py"),
        ("python ./server.py --port $PORT", "server.py"),
        ("gunicorn app:app", "app.py"),
        ("uvicorn app:create --factory", "app.py"),
    ],
)
def test_a_web_process_is_not_reached_by_a_guess(make_tree, web: str, program: str) -> None:
    with pytest.raises(NoStartCommand, match="found process 'web'"):
        make_plan(make_tree({"Procfile": f"web: {web}\n", "requirements.txt": "", program: ""}))
    named = BuildSettings(run_command=f"python {program}")
    tree = make_tree({"Procfile": f"web: {web}\n", "requirements.txt": "", program: ""})
    assert make_plan(tree, named).run_command == f"python {program}"
