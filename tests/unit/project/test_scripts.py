"""The scripts keep their promises: runnable, stopping at the first failure, and their lists consistent."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

PINNED = re.compile(r"^([A-Za-z0-9._-]+(?:\[[a-z]+\])?)==(\S+) \\$", re.MULTILINE)

commands = sorted(
    path
    for path in [*(ROOT / "scripts").iterdir(), ROOT / ".ci/run"]
    if path.is_file() and path.read_bytes().startswith(b"#!")
)
shell_files = [
    *(path for path in commands if b"bash" in path.read_bytes().splitlines()[0]),
    *sorted((ROOT / "scripts/lib").glob("*.sh")),
    *sorted((ROOT / "scripts/stand-ins").glob("*.sh")),
]


def pins(lock: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / lock).read_text()))


def base_images() -> list[tuple[str, str, list[str]]]:
    """(recipe, version, names) of every line of scripts/base-images."""
    lines = (ROOT / "scripts/base-images").read_text().splitlines()
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return [(recipe, version, names) for recipe, version, *names in fields]


def test_the_public_commands_are_there() -> None:
    assert {"setup", "test", "check"} <= {path.name for path in commands}


@pytest.mark.parametrize("path", commands, ids=lambda path: path.name)
def test_a_command_is_executable(path: Path) -> None:
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", shell_files, ids=lambda path: path.name)
def test_a_shell_file_parses(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize(
    "path", [path for path in shell_files if path in commands], ids=lambda path: path.name
)
def test_a_shell_command_stops_at_the_first_failure(path: Path) -> None:
    assert "\nset -euo pipefail\n" in path.read_text()


def test_every_base_image_has_its_recipe_and_one_meaning() -> None:
    names = [name for _, _, names in base_images() for name in names]
    assert len(names) == len(set(names))
    for recipe, _, line_names in base_images():
        assert (ROOT / f"scripts/stand-ins/{recipe}.Dockerfile").is_file()
        assert line_names, f"a line of recipe {recipe} names no image"
        assert all(":" in name for name in line_names)


def test_a_recipe_stands_below_the_one_it_is_built_on() -> None:
    made: set[str] = set()
    for recipe, version, _ in base_images():
        text = (ROOT / f"scripts/stand-ins/{recipe}.Dockerfile").read_text()
        dockerfile = text.replace("${VERSION}", version)
        needed = set(re.findall(r"^FROM jobyard-stand-in/((?!root)\S+)", dockerfile, re.MULTILINE))
        assert needed <= made
        made.add(f"{recipe}:{version}")


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "requirements-server.lock", "app/web/javascript/npm.lock"]
)
def test_every_locked_package_is_pinned_with_hashes(lock: str) -> None:
    for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()):
        assert PINNED.match(entry), entry
        assert "--hash=sha256:" in entry


def test_the_server_runs_the_versions_that_were_tested() -> None:
    assert pins("requirements-server.lock").items() <= pins("requirements.lock").items()


def test_the_server_carries_no_development_tools() -> None:
    assert (
        not {"pytest", "mypy", "ruff", "hypothesis", "playwright"} & pins("requirements-server.lock").keys()
    )


def test_setup_without_root_says_what_to_install() -> None:
    """The sentence, not the installation: `id` answers as for an ordinary user."""
    script = """
      source scripts/lib/say.sh
      source scripts/lib/packages.sh
      id() { echo 1000; }
      install_packages chromium git
    """
    done = subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: these packages are missing: chromium git; install them")


def test_a_failing_step_shows_the_end_of_its_log_and_the_remedy() -> None:
    script = (
        'source scripts/lib/say.sh; cd "$(mktemp -d)"; logged step "do this" bash -c "echo the cause; exit 3"'
    )
    done = subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "the cause\nerror: do this (full log: build/setup/step.log)\n"


def test_sizes_reports_median_and_longest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def short():\n    return 1\n\n\ndef longer():\n    x = 1\n    return x\n")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/sizes.py", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "files: 1, median 7, p90 7, longest 7 (a.py)",
        "functions: 2, median 2.5, p90 2, longest 3 (a.py:longer:5)",
    ]


def test_every_javascript_library_is_locked_with_its_hash_at_no_address() -> None:
    folder = ROOT / "app/web/javascript"
    wanted = json.loads((folder / "package.json").read_text())
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert locked.pop("") == {"dependencies": wanted["dependencies"]}
    assert {name.removeprefix("node_modules/"): each["version"] for name, each in locked.items()} == wanted[
        "dependencies"
    ]
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in locked.values())
    assert wanted["copy"].keys() == wanted["dependencies"].keys()
    assert all("LICENSE" in files for files in wanted["copy"].values())
