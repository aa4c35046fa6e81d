"""C and C++ by CMake: which executables there are, and what they need."""

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile

PROJECT = "project(tally CXX)\n"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"CMakeLists.txt": PROJECT + "add_executable(sync a.cpp)\n"}, "sync"),
        ({"CMakeLists.txt": PROJECT + "add_executable(${PROJECT_NAME} a.cpp)\n"}, "tally"),
        (
            {
                "CMakeLists.txt": PROJECT
                + "add_executable(sync a.cpp)\nadd_executable(sync_tests t.cpp)\nadd_executable(x ALIAS sync)\n"
            },
            "sync",
        ),
        ({"CMakeLists.txt": PROJECT + "add_executable(web w.c)\nADD_EXECUTABLE(job j.c)\n"}, "job"),
        (
            {
                "CMakeLists.txt": PROJECT + "add_subdirectory(src)\n# add_executable(old o.c)\n",
                "src/CMakeLists.txt": "add_subdirectory(tool)\n",
                "src/tool/CMakeLists.txt": "add_executable(tool t.c)\nadd_subdirectory(..)\n",
            },
            "tool",
        ),
    ],
)
def test_what_is_run(make_tree, files: dict[str, str], command: str) -> None:
    plan = make_plan(make_tree(files))
    assert (plan.runtime, plan.command) == ("cmake", (command,))


def test_several_are_asked_for(make_tree) -> None:
    text = PROJECT + "add_executable(a a.c)\nadd_executable(b b.c)\n"
    with pytest.raises(NoStartCommand, match=r"found process 'a', process 'b'\."):
        make_plan(make_tree({"CMakeLists.txt": text}))


def test_a_library_alone_is_nothing_to_run(make_tree) -> None:
    with pytest.raises(PlanError, match=r"CMakeLists\.txt has no executable to build"):
        make_plan(make_tree({"CMakeLists.txt": PROJECT + "add_library(a a.c)\n"}))


def test_what_is_found_is_there_to_build_and_to_run(make_tree) -> None:
    text = PROJECT + "find_package(CURL REQUIRED)\nfind_package(Threads)\nadd_executable(a a.c)\n"
    build, _, final = render_dockerfile(make_plan(make_tree({"CMakeLists.txt": text}))).partition("AS job")
    assert "build-essential" in build
    assert "libcurl4-openssl-dev" in build
    assert "libcurl4t64" in final
    assert "build-essential" not in final


def test_another_language_that_has_it_for_its_extension_goes_before(make_tree) -> None:
    files = {"CMakeLists.txt": PROJECT, "pyproject.toml": "[project]\nname = 'x'\n", "main.py": "print(1)"}
    assert make_plan(make_tree(files)).runtime == "python"


def test_commands_of_ones_own_count(make_tree) -> None:
    settings = BuildSettings(build_command="make && cp job /out/", run_command="job --all")
    plan = make_plan(make_tree({"CMakeLists.txt": PROJECT}), settings)
    assert plan.command == ("job", "--all")
    assert "make && cp job /out/" in render_dockerfile(plan)
