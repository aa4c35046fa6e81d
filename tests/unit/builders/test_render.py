import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.backends.base import request_for
from builders.describe import describe
from builders.detect import make_plan
from builders.instructions import Cache, Copy, Env, Run, Stage
from builders.plan import BuildPlan, BuildSettings
from builders.render import DOCKERIGNORE, render_dockerfile


@pytest.fixture
def built(make_tree):
    return make_plan(
        make_tree({"requirements.txt": "six", "job.py": "print()"}), BuildSettings(build_command="make")
    )


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.replace(" \\\n", " ").splitlines() if line.startswith(start)]


def test_plain_variables_are_arguments_and_never_stay(built: BuildPlan) -> None:
    text = render_dockerfile(built, build_env=["B", "A", "JOBYARD_GIT_SHA"])
    assert lines_of(text, "ARG") == ["ARG A", "ARG B", "ARG JOBYARD_GIT_SHA"]
    assert (
        text.index("ARG B")
        < text.index("pip install")
        < text.index("ARG JOBYARD_GIT_SHA")
        < text.index("make")
    )
    assert "JOBYARD" not in "".join(lines_of(text, "ENV"))
    assert "ARG" not in text[text.index("AS job") :]


def test_secrets_are_mounted_where_commands_run_and_nowhere_else(built: BuildPlan) -> None:
    text = render_dockerfile(built, build_secrets=["TOKEN"])
    for line in lines_of(text, "RUN"):
        uses = "pip install -r" in line or "make" in line
        assert ("--mount=type=secret,id=TOKEN,required=true" in line) == uses
        assert ('export TOKEN="$(cat /run/secrets/TOKEN)"' in line) == uses
    assert not lines_of(text, "ARG")


def test_a_name_that_is_both_is_a_secret(built: BuildPlan) -> None:
    assert "ARG" not in render_dockerfile(built, build_env=["X"], build_secrets=["X"])


@pytest.mark.parametrize("name", ["", "A B", "A=1", "1A", "A\nRUN evil", "Ä"])
def test_a_name_that_is_none_is_refused(built: BuildPlan, name: str) -> None:
    with pytest.raises(ValueError, match="name of a variable"):
        render_dockerfile(built, build_env=[name])
    with pytest.raises(ValueError, match="name of a variable"):
        render_dockerfile(built, build_secrets=[name])


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_text_of_the_user_begins_an_instruction(command: str, reason: str) -> None:
    steps = (Env({"A": reason}), Run((command,)), Copy((reason,), "./"))
    plan = BuildPlan("x", reasons=(reason,), command=("sh", "-c", command), stages=(Stage("base", steps),))
    text = render_dockerfile(plan)
    allowed = ("#", "FROM base AS job", "ENV A=", "RUN ", "COPY ", "USER 10001:10001", "CMD [", " ")
    assert all(line.startswith(allowed) or not line for line in text.split("\n"))


def test_a_command_of_several_lines_is_one_instruction() -> None:
    plan = BuildPlan("x", command=("x",), stages=(Stage("b", (Run(("make\n  make install\n",)),)),))
    assert "RUN make; make install\n" in render_dockerfile(plan)


def test_a_cache_that_cannot_be_shared_is_locked() -> None:
    plan = BuildPlan("x", stages=(Stage("b", (Run(("y",), caches=(Cache("i", "/t", locked=True),)),)),))
    assert "RUN --mount=type=cache,id=i,target=/t,sharing=locked \\\n    y\n" in render_dockerfile(plan)


def test_the_repositorys_dockerfile_is_left_as_it_is(make_tree) -> None:
    text = "from x\n# no final newline"
    tree = make_tree({"Dockerfile": text, "Dockerfile.dockerignore": "y"})
    plan = make_plan(tree)
    assert render_dockerfile(plan, build_env=["A"]) == text
    assert request_for(plan, tree.root).dockerignore == "y"


def test_an_ignore_file_is_brought_only_where_there_is_none(make_tree) -> None:
    own = make_tree({"job.py": "print()", ".dockerignore": "x"})
    none = make_tree({"job.py": "print()"})
    docker = make_tree({"Dockerfile": "FROM x"})
    for tree, expected in ((own, None), (none, DOCKERIGNORE), (docker, None)):
        assert request_for(make_plan(tree), tree.root).dockerignore == expected


def test_the_description_tells_what_and_why(built: BuildPlan) -> None:
    text = describe(built)
    assert "runtime          python 3.13\n" in text
    assert "run              python job.py\n" in text
    assert "Why:\n  Python: found requirements.txt.\n" in text
