"""Debian packages by requirement: those of what is named, never those of what only sounds alike."""

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings
from builders.render import render_dockerfile

JOB = {"job.py": "print()"}
PSYCOPG2 = ("gcc libc6-dev libpq-dev libpq5", "libpq5")


def installed(text: str) -> list[str]:
    """What each stage installs of Debian's packages."""
    lines = [line for line in text.splitlines() if "apt-get install" in line]
    return [line.partition("--no-install-recommends ")[2].removesuffix(" \\") for line in lines]


@pytest.mark.parametrize(
    ("files", "build", "run"),
    [
        ({"requirements.txt": "psycopg2==2.9.9 ; python_version > '3'"}, *PSYCOPG2),
        ({"requirements.txt": "-r more.txt\n", "more.txt": "Psycopg2>=2\n"}, *PSYCOPG2),
        ({"requirements.txt": "-e .\npsycopg2\n", "setup.py": ""}, *PSYCOPG2),
        ({"pyproject.toml": "[project]\nname='x'\ndependencies = ['psycopg2']\n"}, *PSYCOPG2),
        ({"pyproject.toml": "[tool.poetry.dependencies]\npsycopg2 = '^2'\n"}, *PSYCOPG2),
        ({"uv.lock": '[[package]]\nname = "psycopg2"\n', "pyproject.toml": "[project]\nname='x'\n"}, *PSYCOPG2),
        ({"Pipfile": "[packages]\npsycopg2 = '*'\n"}, *PSYCOPG2),
        ({"Pipfile": "", "Pipfile.lock": '{"default": {"psycopg2": {}}}'}, *PSYCOPG2),
        ({"job.py": "# /// script\n# dependencies = ['psycopg2']\n# ///\nprint()\n"}, *PSYCOPG2),
        ({"requirements.txt": "psycopg[c]"}, "gcc libc6-dev libpq-dev libpq5", "libpq5"),
        ({"requirements.txt": "psycopg"}, "libpq5", "libpq5"),
        ({"requirements.txt": "pydub", "apt.txt": "jq"}, "jq ffmpeg", "jq ffmpeg"),
        ({"requirements.txt": "x @ git+https://example.com/x.git@main"}, "git", ""),
        ({"requirements.txt": "git+ssh://git@example.com/x.git"}, "git", ""),
        ({"Pipfile": "[packages]\nx = {git = 'https://example.com/x.git'}\n"}, "git", ""),
        ({"uv.lock": 'source = { git = "https://x.example" }\n', "pyproject.toml": "[project]\nname='x'\n"}, "git", ""),
    ],
)  # fmt: skip
def test_what_is_needed_is_installed(make_tree, files, build: str, run: str) -> None:
    plan = make_plan(make_tree({**JOB, **files}))
    assert installed(render_dockerfile(plan)) == [each for each in (build, run) if each]


@pytest.mark.parametrize(
    "line",
    [
        *("psycopg2-binary", "psycopg[binary]", "psycopg[binary,pool]>=3", "# psycopg2", "six # psycopg2"),
        *(
            "psycopg2cffi",
            "flask-psycopg2",
            "-c psycopg2.txt",
            "https://example.com/psycopg2.tar.gz",
            "[psycopg2",
        ),
    ],
)
def test_what_sounds_alike_needs_nothing(make_tree, line: str) -> None:
    text = render_dockerfile(make_plan(make_tree({**JOB, "requirements.txt": line, "psycopg2.txt": ""})))
    assert installed(text) == []


def test_an_install_command_of_ones_own_has_them_too(make_tree) -> None:
    settings = BuildSettings(install_command="pip install 'unbalanced")
    plan = make_plan(make_tree({**JOB, "requirements.txt": "mysqlclient"}), settings)
    assert installed(render_dockerfile(plan))[1] == "libmariadb3"
    assert (
        "mysqlclient needs gcc, libc6-dev, default-libmysqlclient-dev, pkg-config, libmariadb3."
        in plan.reasons
    )


def test_a_lock_of_any_size_is_read_as_far_as_it_goes(make_tree) -> None:
    lock = '[[package]]\nname = "psycopg2"\n' + "# more\n" * 600_000
    plan = make_plan(make_tree({**JOB, "uv.lock": lock, "pyproject.toml": "[project]\nname='x'\n"}))
    assert installed(render_dockerfile(plan))[1] == "libpq5"


def test_a_program_of_any_size_is_one(make_tree) -> None:
    tree = make_tree({"main.py": "DATA = 1\n" * 400_000, "other.mjs": ""})
    assert make_plan(tree).run_command == "python main.py"
