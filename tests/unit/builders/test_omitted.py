"""A plan promises nothing that its build can't see."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from builders.backends.ignoring import Ignore
from builders.detect import make_plan
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.render import DOCKERIGNORE
from builders.source import SourceTree

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n"
ATTRIBUTES = {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}


def plan_of(root: Path, files: Mapping[str, str | None], settings: BuildSettings | None = None) -> BuildPlan:
    """Of a tree with these files; None makes an empty folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if text is None else path.write_text(text)
    return make_plan(SourceTree(root), settings or BuildSettings())


@pytest.mark.parametrize(
    ("ignored", "files", "needed_by"),
    [
        ("main.py", {"main.py": "print()", "requirements.txt": "x"}, "main.py .*`python main.py`"),
        (
            "*.txt",
            {"main.py": "print()", "requirements.txt": "x"},
            "requirements.txt .*`pip install -r requirements.txt`",
        ),
        ("*\n!main.py", {"main.py": "print()", "requirements.txt": "x"}, "requirements.txt .*"),
        (
            "src",
            {"src/job.py": "print()", "Procfile": "job: python src/job.py"},
            "src/job.py .*`python src/job.py`",
        ),
        (
            "job",
            {"job/__main__.py": "print()", "Procfile": "job: python -m job", "requirements.txt": ""},
            "job/__main__.py .*",
        ),
        (
            "index.js",
            {"package.json": '{"scripts": {"start": "node index.js"}}', "index.js": "1"},
            "index.js .*",
        ),
        ("*.sh", {"run.sh": "#!/bin/sh\n"}, "run.sh .*"),
    ],
)
def test_what_the_ignore_file_leaves_out_is_named(
    tmp_path: Path, ignored: str, files: dict[str, str | None], needed_by: str
) -> None:
    with pytest.raises(PlanError, match=rf"^\.dockerignore leaves {needed_by} needs it: take it out"):
        plan_of(tmp_path, {**files, ".dockerignore": ignored})


@pytest.mark.parametrize("ignored", ["docs\n*.md", "*\n!main.py\n!requirements.txt", "# main.py", ""])
def test_what_the_build_needs_not_may_be_left_out(tmp_path: Path, ignored: str) -> None:
    files = {"main.py": "print()", "requirements.txt": "x", "docs/a.md": "", ".dockerignore": ignored}
    assert plan_of(tmp_path, files).run_command == "python main.py"


def test_a_dockerfile_answers_for_itself(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path, {"Dockerfile": "FROM busybox\nCOPY main.py /\n", ".dockerignore": "*", "main.py": "print()"}
    )
    assert plan.runtime == "dockerfile"


@pytest.mark.parametrize("dockerfile", [{}, {"Dockerfile": "FROM busybox\nCMD true\n"}])
def test_what_was_not_fetched_is_warned_of(tmp_path: Path, dockerfile: dict[str, str | None]) -> None:
    modules = (
        '[submodule "x"]\n\tpath = libs/x\n\turl = ../x\n[submodule "y"]\n\tpath = libs/y\n\turl = ../y\n'
    )
    files = {
        "main.py": "print()",
        ".gitmodules": modules,
        "libs/x": None,
        "libs/y/lib.py": "1",
        "a.bin": POINTER,
    }
    plan = plan_of(tmp_path, {**files, "b.bin": POINTER, "plain.bin": "1", **ATTRIBUTES, **dockerfile})
    assert plan.warnings[-2:] == (
        "Submodule libs/x is not fetched: set source.git.submodules.",
        "2 files are Git LFS pointers (a.bin, b.bin), not what they stand for: set source.git.lfs.",
    )


def test_what_was_fetched_or_never_meant_is_not(tmp_path: Path) -> None:
    modules = '[submodule "x"]\n\tpath = libs/x\n\turl = ../x\n'
    files = {"main.py": "print()", ".gitmodules": modules, "libs/x/lib.py": "1", "about-lfs.txt": POINTER}
    assert plan_of(tmp_path, files).warnings == ()


@pytest.mark.parametrize("text", ["nonsense", "[submodule", '[submodule "x"]\npath\n', "path = x\n", "\x00"])
def test_any_gitmodules_will_do(tmp_path: Path, text: str) -> None:
    assert plan_of(tmp_path, {"main.py": "print()", ".gitmodules": text}).warnings == ()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({".env": "A=1"}, "Not in the image, as it may hold a secret: .env."),
        (
            {"certs/ca.pem": "x", ".env.local": "x", "tls.key": "x", "a.pem": "x"},
            "they may hold secrets: .env.local, a.pem, tls.key and 1 more.",
        ),
        ({".env.example": "A="}, ""),
        ({"key": "x", "environment.env": "x", "pem.txt": "x"}, ""),
        ({".env": "A=1", ".dockerignore": "docs"}, ""),
    ],
)
def test_secrets_that_the_default_ignore_file_leaves_out_are_named(
    tmp_path: Path, files: dict[str, str | None], said: str
) -> None:
    plan = plan_of(tmp_path, {"main.py": "print()", **files})
    assert bool(plan.warnings) == bool(said)
    assert said in "".join(plan.warnings)
    is_default = ".dockerignore" not in files
    assert any(each.startswith("There is no .dockerignore: .git,") for each in plan.reasons) == is_default


def test_what_is_named_is_what_the_default_ignore_file_leaves_out() -> None:
    ignore = Ignore.parse(DOCKERIGNORE)
    assert all(map(ignore.leaves_out, ("a/.env", "a/.env.x", "a/b.pem", "c.key", ".env")))
