import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.commands import exec_form, join
from builders.procfile import parse_procfile

words = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12), max_size=5)


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("python main.py", ("python", "main.py")),
        ("  node 'a b.js'  ", ("node", "a b.js")),
        ("echo '$HOME' a#b", ("echo", "$HOME", "a#b")),
        ("curl 'http://x/?a=1&b=2'", ("curl", "http://x/?a=1&b=2")),
        ("echo $HOME", ("/bin/sh", "-c", "exec echo $HOME")),
        ("cd src && node x.js", ("/bin/sh", "-c", "cd src && exec node x.js")),
        ("make; ./run", ("/bin/sh", "-c", "make; exec ./run")),
        ("A=1 B=2 ./run", ("/bin/sh", "-c", "exec env A=1 B=2 ./run")),
        ("cat x | wc -l", ("/bin/sh", "-c", "cat x | wc -l")),
        ("a && (b; c)", ("/bin/sh", "-c", "a && (b; c)")),
        ("./run > out.txt", ("/bin/sh", "-c", "exec ./run > out.txt")),
        ("exec ./run", ("/bin/sh", "-c", "exec ./run")),
        ("a & b", ("/bin/sh", "-c", "a & b")),
        ("if true; then a; fi", ("/bin/sh", "-c", "if true; then a; fi")),
        ("./run; exit 3", ("/bin/sh", "-c", "./run; exit 3")),
        ('echo "a;b"; ls', ("/bin/sh", "-c", 'echo "a;b"; exec ls')),
        ("ls *.py", ("/bin/sh", "-c", "exec ls *.py")),
        ("ls ~/x", ("/bin/sh", "-c", "exec ls ~/x")),
    ],
)
def test_exec_form(command: str, argv: tuple[str, ...]) -> None:
    assert exec_form(command) == argv


@pytest.mark.parametrize("command", ["", "   ", "echo 'open"])
def test_what_cannot_be_read_is_refused_with_a_sentence(command: str) -> None:
    with pytest.raises(ValueError, match=r"^The command .*\.$"):
        exec_form(command)


@given(st.from_regex(r"\./[a-z][a-z0-9./-]*", fullmatch=True), words)
def test_a_quoted_argv_comes_back_as_it_was(program: str, arguments: list[str]) -> None:
    argv = (program, *arguments)
    assert exec_form(join(argv)) == argv


@given(
    st.lists(st.sampled_from(["a", "b c", "$X", "x*", "'", '"', "\\", "#", "~", ";", "|", "\n"]), max_size=4)
)
def test_what_a_shell_prints_stays_the_same(arguments: list[str]) -> None:
    command = f"printf %s\\| {shlex.join(arguments)}"
    plain = subprocess.run(["/bin/sh", "-c", command], capture_output=True, env={"X": "1"}, check=True)
    ours = subprocess.run(exec_form(command), capture_output=True, env={"X": "1"}, check=True)
    assert ours.stdout == plain.stdout


def test_procfile() -> None:
    text = "# comment\njob: python -m x: y\n web :  a b \n\nbroken line\nworker:\njob: last wins\nA-1_b: c\n"
    assert parse_procfile(text) == {"web": "a b", "job": "last wins", "A-1_b": "c"}


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True),
        st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True),
    )
)
def test_a_procfile_gives_back_what_was_written(processes: dict[str, str]) -> None:
    text = "".join(f"{name}: {command}\n" for name, command in processes.items())
    assert parse_procfile(text) == processes


@given(st.text())
def test_any_text_is_a_procfile(text: str) -> None:
    for name, command in parse_procfile(text).items():
        assert name.strip() == name
        assert command
