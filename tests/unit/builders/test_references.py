"""The images that a Dockerfile asks for: nothing that a frontend would find is missed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.references import Unclear, foreign_frontend, plain, privileged_steps, references, web_hosts

WANTED = "registry.example.com/secret:1"


@pytest.mark.parametrize(
    "text",
    [
        f"FROM {WANTED}",
        f"\ufefffrom\t--platform=$BUILDPLATFORM {WANTED} AS x",
        f"FROM busybox\nCOPY --from={WANTED} / /",
        f'FROM busybox\nRUN --mount=type=bind,target=/x,"from={WANTED}" ls',
        f"ARG IMAGE={WANTED}\nFROM $IMAGE",
        'ARG A="registry.example.com" B=secret\nFROM ${A}/${B}:${C:-1} AS build\nFROM build',
        f"ARG A\nFROM ${{A:-{WANTED}}}",
        f"ARG A=x\nFROM ${{A:+{WANTED}}}",
        "FROM registry.example.com/'sec'r\\et:\"1\"",
        "FROM registry.example.com/sec\\\n# a comment\n\nret:1",
        "# escape=`\nFROM registry.example.com/sec`\r\nret:1",
        f"FROM busybox\nONBUILD COPY --from={WANTED} / /",
        f"FROM busybox\nRUN <<EOF\ntrue \\\nEOF\nFROM {WANTED}",
        'FROM busybox\nRUN <<"E\\"\nE\\\nFROM ' + WANTED,
        "ARG BASE=busybox\nFROM $BASE",
    ],
)
def test_it_is_found(text: str) -> None:
    assert WANTED in references(text, {"BASE": WANTED})


@given(st.data())
def test_a_reference_is_found_however_it_is_cut(data: st.DataObject) -> None:
    """Into variables, quotes, escapes and lines that go on."""
    lines, made = [], ""
    at = 0
    while at < len(WANTED):
        length = data.draw(st.integers(1, 9))
        part, at = WANTED[at : at + length], at + length
        how = data.draw(st.sampled_from(("plain", "single", "double", "escape", "line", "arg", "default")))
        match how:
            case "single" | "double":
                quote = "'" if how == "single" else '"'
                made += f"{quote}{part}{quote}"
            case "escape":
                made += f"\\{part}"
            case "line":
                made += f"\\\n{part}"
            case "arg":
                lines.append(f"ARG V{len(lines)}={part}")
                made += f"${{V{len(lines) - 1}}}"
            case "default":
                made += f"${{NONE:-{part}}}"
            case _:
                made += part
    text = "\n".join([*lines, f"FROM {made}"])
    assert WANTED in references(text, {})


@given(st.text(max_size=300), st.dictionaries(st.sampled_from("AB"), st.text(max_size=5)))
def test_any_text_can_be_read(text: str, build_args: dict[str, str]) -> None:
    plain(text)
    with suppress(Unclear):
        web_hosts(text, {})
    foreign_frontend(text, build_args)
    with suppress(Unclear):
        references(f"ARG A={text}\nFROM {text}", build_args)


@pytest.mark.parametrize("word", ["${A#b}", "${A/b/c}", "${A", "x" * 5000])
def test_what_cannot_be_known_is_said(word: str) -> None:
    with pytest.raises(Unclear):
        references(f"FROM {word}", {})


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=evil/frontend:1\nFROM x",
        "#SYNTAX = evil/frontend:1\nFROM x",
        "# escape=`\n\n# a comment\n# syntax=evil/frontend:1\nFROM x",
        "#!/bin/sh\n// syntax=evil/frontend:1\nFROM x",
        "# syntax=docker/dockerfile-upstream:master\nFROM x",
        "# syntax=example.com/docker/dockerfile:1\nFROM x",
    ],
)
def test_a_foreign_frontend_is_found(text: str) -> None:
    assert foreign_frontend(text, {})


@pytest.mark.parametrize(
    "name", ["docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs", "docker/dockerfile"]
)
def test_dockers_own_is_none(name: str) -> None:
    assert foreign_frontend(f"# syntax={name}\nFROM x\n# syntax=other", {"BUILDKIT_SYNTAX": name}) is None
    assert foreign_frontend("FROM x", {"BUILDKIT_SYNTAX": "evil/frontend"}) == "evil/frontend"
    assert foreign_frontend('{"syntax": "evil"}', {})


def test_a_name_is_seen_through_quotes_and_lines() -> None:
    assert "jobyard-0123456789ab" in plain('COPY --from=job"yard-01"23\\\n456789ab / /')
    assert web_hosts("FROM x\nADD http://2852039166/latest /x\nRUN curl http://other/", {}) == {"2852039166"}


@pytest.mark.parametrize(
    "text",
    [
        "FROM busybox\nRUN --network=host true",
        "FROM busybox\nrun\t--mount=type=cache,target='/a b' --network=host true",
        "FROM busybox\nONBUILD RUN --network=host true",
        "FROM busybox\nRUN --net\\\nwork=host true",
        "# escape=`\nFROM busybox\nRUN --net`\r\nwork=host true",
        'FROM busybox\nRUN --network="host" true',
        "FROM busybox\nARG N=host\nRUN --network=$N true",
        "FROM busybox\nRUN --network true",
        "FROM busybox\nRUN --network=none --security=insecure true",
    ],
)
def test_a_step_that_asks_for_more_than_others_is_found(text: str) -> None:
    assert privileged_steps(text)


@pytest.mark.parametrize(
    "text",
    [
        "FROM busybox\nRUN --network=none --security=sandbox true",
        "FROM busybox\nRUN --network=default true",
        "FROM busybox\nRUN docker run --network=host busybox",
        "FROM busybox\n# RUN --network=host true",
    ],
)
def test_a_step_like_any_other_is_let_be(text: str) -> None:
    assert privileged_steps(text) == frozenset()


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("ARG U=http://one/\nFROM x\nADD $U /x", {"one"}),
        ("FROM x\nARG B=http://one\nENV U ${B}/two\nADD --chown=1 ${U} /x", {"one"}),
        ("FROM x\nENV U=http://one/\nADD $U /x\nFROM y\nENV U=http://two/\nADD $U /x", {"one", "two"}),
        ("FROM x\nENV U=http://one/\nADD file /x", set()),
        ("FROM x\nARG GIVEN\nADD $GIVEN /x", {"given"}),
        ("FROM x\nADD http://one/$NAME /x", {"one"}),
    ],
)
def test_hosts_in_variables_of_what_is_added_are_found(text: str, hosts: set[str]) -> None:
    assert web_hosts(text, {"GIVEN": "https://given/file"}) == hosts


@pytest.mark.parametrize(
    "text", ["ADD http://$H/ /x", "ARG U=http://a.${H}\nADD $U /x", 'ADD ["https://u@${H:-x}/", "/x"]']
)
def test_a_variable_in_the_name_of_a_host_is_unclear(text: str) -> None:
    with pytest.raises(Unclear, match=r"http.*\$"):
        web_hosts(f"FROM x\n{text}\n", {"H": "169.254.169.254"})
