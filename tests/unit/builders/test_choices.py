"""What a repository could be built as beside what is detected, and that it is built as what is chosen."""

from collections.abc import Callable, Mapping

import pytest

from builders.detect import find_choices, make_plan
from builders.plan import BuildSettings, PlanError
from builders.source import SourceTree

MakeTree = Callable[[Mapping[str, str]], SourceTree]

SEVERAL = {
    "Dockerfile": "FROM scratch\n",
    "requirements.txt": "",
    "main.py": "print()",
    "package.json": '{"scripts": {"start": "node x.js"}, "dependencies": {"ms": "2"}}',
}


def test_all_types_with_a_file_that_speaks_for_them_are_found(make_tree: MakeTree) -> None:
    found = find_choices(make_tree(SEVERAL))
    assert found.types == (
        ("dockerfile", "Dockerfile"),
        ("python", "requirements.txt"),
        ("node", "package.json"),
    )
    assert found.directories == ()


@pytest.mark.parametrize("mode", ["dockerfile", "python", "node"])
def test_it_is_built_as_what_is_chosen(make_tree: MakeTree, mode: str) -> None:
    assert make_plan(make_tree(SEVERAL), BuildSettings(mode=mode)).runtime == mode  # type: ignore[arg-type]


def test_what_nothing_speaks_for_is_refused_with_what_there_is(make_tree: MakeTree) -> None:
    with pytest.raises(PlanError) as refused:
        make_plan(make_tree({"main.py": "print()", "requirements.txt": ""}), BuildSettings(mode="go"))
    assert str(refused.value) == (
        "mode is go, but no file here is of that runtime (found: python). Set mode to auto."
    )


def test_directories_with_a_manifest_are_found_where_the_root_has_none(make_tree: MakeTree) -> None:
    found = find_choices(make_tree({"api/requirements.txt": "", "web/go.mod": "module x"}))
    assert found.directories == (("/api", "Python: requirements.txt"), ("/web", "Go: go.mod"))


def test_nothing_is_raised_for_a_directory_that_is_not_there(make_tree: MakeTree) -> None:
    assert find_choices(make_tree({}), BuildSettings(root_directory="/nowhere")).types == ()
