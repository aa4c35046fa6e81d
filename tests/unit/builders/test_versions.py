import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.versions import Line, UnreadableVersion, parse_constraint, parse_line, pick

triples = st.tuples(st.integers(0, 40), st.integers(0, 20), st.integers(0, 20))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=3.11,<3.13", (3, 12, 9), (3, 13, 0)),
        ("^3.11", (3, 14, 0), (4, 0, 0)),
        ("^0.2.3", (0, 2, 9), (0, 3, 0)),
        ("~3.11", (3, 11, 9), (3, 12, 0)),
        ("~=3.11", (3, 14, 0), (4, 0, 0)),
        ("~=3.11.2", (3, 11, 9), (3, 12, 0)),
        ("~20", (20, 9, 0), (21, 0, 0)),
        ("20.x", (20, 9, 0), (21, 0, 0)),
        ("==3.11.*", (3, 11, 9), (3, 12, 0)),
        (">=3.9,!=3.10.*", (3, 11, 0), (3, 10, 4)),
        ("18 || 20", (20, 1, 0), (19, 0, 0)),
        ("16 - 18", (18, 9, 0), (19, 0, 0)),
        (">=16.0.0<17", (16, 5, 0), (17, 0, 0)),
        (">= 18", (18, 0, 0), (17, 9, 9)),
        ("> 18", (19, 0, 0), (18, 9, 9)),
        ("<=20", (20, 9, 9), (21, 0, 0)),
        ("v22.1.0-rc.1", (22, 1, 0), (22, 1, 1)),
        (">=3.12rc1", (3, 12, 0), (3, 11, 9)),
        ("*", (0, 0, 0), None),
        ("", (9, 9, 9), None),
    ],
)
def test_constraints_as_people_write_them(text: str, inside: tuple, outside: tuple | None) -> None:
    constraint = parse_constraint(text)
    assert constraint.allows(inside)
    assert outside is None or not constraint.allows(outside)


@pytest.mark.parametrize("text", ["latest", "lts/*", ">=", "3.x.y.z!", "python3", "{}", ">>3"])
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(UnreadableVersion):
        parse_constraint(text)


@given(triples, triples, triples)
def test_a_range_holds_exactly_what_lies_between(low: tuple, high: tuple, version: tuple) -> None:
    text = f">={'.'.join(map(str, low))}, <{'.'.join(map(str, high))}"
    assert parse_constraint(text).allows(version) == (low <= version < high)


@given(triples, triples)
def test_either_of_two_is_enough(one: tuple, other: tuple) -> None:
    constraint = parse_constraint(f"{'.'.join(map(str, one))} || {'.'.join(map(str, other))}")
    assert constraint.allows(one)
    assert constraint.allows(other)


@given(st.lists(triples, min_size=1, max_size=4), triples)
def test_a_line_is_allowed_some_release_if_one_of_its_versions_is(bounds: list, version: tuple) -> None:
    constraint = parse_constraint(" || ".join(f">={a}.{b}.{c}" for a, b, c in bounds))
    if constraint.allows(version):
        assert constraint.allows_some_of(version[:2])
        assert constraint.allows_some_of(version[:1])


@given(st.lists(triples, min_size=1, max_size=3), st.sets(st.integers(0, 40), min_size=1))
def test_what_is_picked_satisfies_and_nothing_newer_was_passed_over(bounds: list, majors: set) -> None:
    constraint = parse_constraint(" || ".join(f"^{a}.{b}.{c}" for a, b, c in bounds))
    lines: list[Line] = [(major,) for major in majors]
    preferred = min(lines)
    picked = pick(constraint, lines, preferred)
    suitable = [line for line in lines if constraint.allows_newest_of(line)]
    suitable = suitable or [line for line in lines if constraint.allows_some_of(line)]
    assert picked == (None if not suitable else preferred if preferred in suitable else max(suitable))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("3.11.4", (3, 11)),
        ("v20", None),
        ("3.12-dev", (3, 12)),
        ("1.27rc1", (1, 27)),
        ("9" * 5000 + ".1", None),
        ("pypy3.10", None),
        ("", None),
    ],
)
def test_the_line_of_a_plain_version(text: str, line: Line | None) -> None:
    assert parse_line(text, 2) == line
