"""Which registries a Dockerfile names, and which builds may therefore go on at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.backends.base import BuildRequest, Login, request_for
from builders.backends.registry_access import Access, access_of
from builders.detect import make_plan
from builders.plan import BuildSettings
from builders.source import SourceTree

ADA, BEN, ADA_LATER = Login("ada", "one"), Login("ben", "one"), Login("ada", "two")


def read(text: str, **options: object) -> Access:
    return access_of(BuildRequest(context=Path(), dockerfile_text=text, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("FROM r.example.com/team/base:1\n", {"r.example.com"}),
        ("from R.Example.com:5000/base@sha256:12 AS one\n", {"r.example.com:5000"}),
        ("FROM --platform=$BUILDPLATFORM localhost/base", {"localhost"}),
        ("FROM ada/base\n", {"docker.io"}),
        ("FROM index.docker.io/ada/base\nFROM registry-1.docker.io/ada/base\n", {"docker.io"}),
        ("FROM r.example.com/base:${VERSION}\n", {"r.example.com"}),
        ("FROM busybox AS one\nCOPY --chown=1:1 --from=r.example.com/x /a /b\n", {"r.example.com"}),
        ("FROM busybox\nONBUILD COPY --from=r.example.com/x /a /b\n", {"r.example.com"}),
        ("FROM busybox\nRUN --mount=target=/x,From=r.example.com/x,type=bind ls\n", {"r.example.com"}),
        ("FROM a.example/x\nFROM b.example/x\n", {"a.example", "b.example"}),
    ],
)
def test_the_hosts_of_all_images_are_read(text: str, hosts: set[str]) -> None:
    assert read(text).hosts == hosts


@pytest.mark.parametrize(
    "text",
    [
        "FROM python:3.12-slim\n",
        "FROM docker.io/library/python:3.12\n",
        "FROM library/python\n",
        "FROM scratch\n",
        "# syntax=docker/dockerfile:1.4\nFROM busybox\n",
        "FROM busybox AS one\nFROM one\nCOPY --from=one --from=0 /a /b\n",
        "# FROM r.example.com/x\nFROM busybox\n",
        "FROM busybox\nRUN --mount=type=cache,id=pip,target=/c pip install x --from=\n",
        "",
    ],
)
def test_official_images_and_stages_name_no_host(text: str) -> None:
    assert read(text).hosts == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "ARG BASE\nFROM $BASE\n",
        "ARG HOST=r.example.com\nFROM ${HOST}/base\n",
        "FROM python:${VERSION}\n",
        'FROM "r.example.com/base"\n',
        "FROM r.exam\\ple.com/base\n",
        "FROM busybox\nCOPY --from=$IMAGE /a /b\n",
        'FROM busybox\nCOPY --fr"om"=r.example.com/x /a /b\n',
        'FROM busybox\nRUN --mount=type=bind,target="/a b",from=r.example.com/x ls\n',
        "FROM busybox\nCOPY --chown=1:1\u2003--from=r.example.com/x /a /b\n",
        "# escape=`\nFROM r.exa`\nmple.com/x\n",
        "#syntax = r.example.com/frontend\nFROM busybox\n",
        "// syntax=other/frontend\nFROM busybox\n",
        '# syntax="docker/dockerfile:1"\nFROM busybox\n',
        '{"syntax": "r.example.com/frontend"}\n',
    ],
)
def test_what_is_not_clear_may_be_any_host(text: str) -> None:
    assert read(text).hosts is None


def test_a_frontend_may_be_named_by_a_build_argument() -> None:
    assert read("FROM busybox\n", build_args={"BUILDKIT_SYNTAX": "other/frontend"}).hosts is None
    assert read("FROM busybox\n", build_args={"BUILDKIT_SYNTAX": "docker/dockerfile:1"}).hosts == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "FROM busybox\nRUN <<EO\\\nls\nEO\\\nFROM r.example.com/x\n",
        "FROM busybox\nRUN echo \\\\\nFROM r.example.com/x\n",
        "FROM busybox\nRUN ls \\\n  # a remark\n\nFROM r.example.com/x\n",
        "FROM busybox\nRUN <<EO\\\nls\nEO\\\nFR\\\nOM r.example.com/x\n",
        "FROM r.exam\\\n# a remark\n \n\n\f# another\nple.com/x\n",
        "\ufeffFROM r.example.com/x\r\nRUN ls\r\n",
        "FROM busybox\nCOPY \\\r\n\r\n --from=r.example.com/x \\\r\n /a /b\r\n",
    ],
)
def test_no_spelling_hides_a_host(text: str) -> None:
    assert "r.example.com" in (read(text).hosts or ())


@given(st.lists(st.sampled_from(("\\\n", "\\\n# x\n", "\\ \t\n\n", "\\\r\n"))), st.integers(0, 40))
def test_a_line_may_be_continued_anywhere(pieces: list[str], at: int) -> None:
    text = "COPY --from=r.example.com/tool /a /b"
    assert read(f"FROM busybox\n{text[:at]}{''.join(pieces)}{text[at:]}\n").hosts == {"r.example.com"}


@given(st.text(st.sampled_from(list("FROMCPYfrom -=\\\n#/.:$\"'x\t<"))))
def test_any_text_can_be_read(text: str) -> None:
    read(text)


@pytest.mark.parametrize(
    "piece", ["\n", " ", "RUN --", "RUN --x ", "FROM \\\n", "# syntax\n", "# ", "\\", "from"]
)
@pytest.mark.timeout(60)  # it takes a second or two, and hours where time grows with the square
def test_a_big_file_is_read_in_no_time(piece: str) -> None:
    read(piece * (1_000_000 // len(piece)))


def test_a_dockerfile_of_the_tree_is_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(b"# \xff\nFROM r.example.com/x\n")
    request = BuildRequest(context=tmp_path, dockerfile_path=tmp_path / "Dockerfile")
    assert access_of(request).hosts == {"r.example.com"}


def test_generated_dockerfiles_never_wait(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("print('hello')\n")
    (tmp_path / "requirements.txt").write_text("requests\n")
    plan = make_plan(SourceTree(tmp_path), BuildSettings())
    request = request_for(plan, tmp_path, build_args={"A": "x"}, secrets={"B": b"x"})
    assert access_of(request).hosts == frozenset()


def of(hosts: set[str] | None, **logins: Login) -> Access:
    return Access(None if hosts is None else frozenset(hosts), logins)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (of({"a"}), of({"a"}), True),
        (of({"a"}, a=ADA), of({"a"}, a=Login("ada", "one")), True),
        (of({"a"}, a=ADA), of({"a"}), False),
        (of({"a"}, a=ADA), of({"a"}, a=BEN), False),
        (of({"a"}, a=ADA), of({"a"}, a=ADA_LATER), False),
        (of({"a"}, a=ADA), of({"b"}), True),
        (of({"b"}, a=ADA), of({"b"}), True),
        (of(set(), a=ADA), of(None), True),
        (of({"a"}, a=ADA), of(None), False),
        (of({"a"}), of(None, a=ADA), False),
        (of({"a"}), of(None, b=ADA), True),
        (of({"a"}, a=ADA), of(None, a=ADA, b=BEN), True),
        (of(None, a=ADA), of(None, a=ADA), True),
        (of(None, a=ADA), of(None), False),
        (of(None), of(None), True),
    ],
)
def test_which_builds_may_overlap(one: Access, other: Access, expected: bool) -> None:
    assert one.may_overlap(other) is expected
    assert other.may_overlap(one) is expected


def test_logins_are_compared_by_the_registry_not_by_its_name() -> None:
    by_alias = read("FROM ada/x\n", logins={"index.docker.io": ADA})
    assert by_alias.may_overlap(read("FROM docker.io/ada/x\n", logins={"Docker.io": ADA}))
    assert not by_alias.may_overlap(read("FROM docker.io/ada/x\n"))
