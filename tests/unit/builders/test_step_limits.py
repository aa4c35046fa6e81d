"""Limits of build steps on control groups of either version, as files in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.backends.failures import explain_failure
from builders.backends.progress import ProgressReader
from builders.backends.step_limits import STEPS, StepLimits, Steps, limited, where
from tests.support.waiting import eventually

LIMITS = StepLimits(cpus=1.5, memory_bytes=64 * 2**20, processes=100)
FIRST = {
    "memory": {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864"},
    "cpu": {"cpu.cfs_quota_us": "150000"},
    "pids": {"pids.max": "100"},
}
SECOND = {
    "": {"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "150000 100000", "pids.max": "100"}
}


def groups(root: Path, version: dict[str, dict[str, str]]) -> None:
    for controller in version:
        (root / controller / STEPS).mkdir(parents=True)
        (root / controller / STEPS / "cgroup.procs").touch()
    if "" in version:
        (root / "cgroup.controllers").write_text("cpu memory pids")


def begin(root: Path, version: dict[str, dict[str, str]], step: str) -> None:
    for controller, files in version.items():
        (root / controller / STEPS / step).mkdir()
        for name in files:
            (root / controller / STEPS / step / name).write_text("max")


def read(root: Path, version: dict[str, dict[str, str]], step: str) -> dict[str, dict[str, str]]:
    return {
        controller: {name: (root / controller / STEPS / step / name).read_text() for name in files}
        for controller, files in version.items()
    }


@pytest.mark.parametrize("version", [FIRST, SECOND])
def test_each_step_is_limited_once(tmp_path: Path, version: dict[str, dict[str, str]]) -> None:
    groups(tmp_path, version)
    written: list[Path] = []

    def write(file: Path, text: str) -> None:
        written.append(file)
        file.write_text(text)

    steps = Steps(LIMITS, where(tmp_path), write)
    steps.look()
    begin(tmp_path, version, "one")
    steps.look()
    begin(tmp_path, version, "two")
    steps.look()
    assert read(tmp_path, version, "one") == read(tmp_path, version, "two") == version
    assert len(written) == len(set(written))


def test_what_is_not_limited_is_left_alone(tmp_path: Path) -> None:
    groups(tmp_path, FIRST)
    begin(tmp_path, FIRST, "one")
    Steps(StepLimits(memory_bytes=2**26, processes=0), where(tmp_path)).look()
    found = read(tmp_path, FIRST, "one")
    assert (found["memory"], found["cpu"], found["pids"]) == (
        FIRST["memory"],
        {"cpu.cfs_quota_us": "max"},
        {"pids.max": "max"},
    )


def test_a_step_that_has_more_already_gets_no_more_until_it_has_less(tmp_path: Path) -> None:
    groups(tmp_path, FIRST)
    begin(tmp_path, FIRST, "one")
    group = tmp_path / "memory" / STEPS / "one"
    (group / "memory.usage_in_bytes").write_text("99999999")

    def refusing(file: Path, text: str) -> None:
        """As the system does where more is used than is asked for."""
        used = int((group / "memory.usage_in_bytes").read_text())
        if file.name == "memory.limit_in_bytes" and int(text) < used:
            raise OSError(16, "Device or resource busy")
        file.write_text(text)

    steps = Steps(LIMITS, where(tmp_path), refusing)
    steps.look()
    assert (group / "memory.limit_in_bytes").read_text() == "99999999"
    (group / "memory.usage_in_bytes").write_text("1000")
    steps.look()
    assert (group / "memory.limit_in_bytes").read_text() == "67108864"


def test_where_nothing_can_be_set_nothing_is(tmp_path: Path) -> None:
    assert where(tmp_path) == {}
    groups(tmp_path, FIRST)
    assert set(where(tmp_path)) == set(FIRST)
    (tmp_path / "pids" / STEPS / "cgroup.procs").unlink()
    (tmp_path / "pids" / STEPS / "cgroup.procs").mkdir()
    assert where(tmp_path) == {}
    with limited(LIMITS, {}):
        pass


def test_steps_are_limited_while_a_build_goes_on(tmp_path: Path) -> None:
    groups(tmp_path, SECOND)
    with limited(LIMITS, where(tmp_path)):
        begin(tmp_path, SECOND, "one")
        eventually(lambda: read(tmp_path, SECOND, "one") == SECOND)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            StepLimits(memory_bytes=2**26, setting="SETTING"),
            ": it was killed, most likely for using more than 64 MiB of memory (SETTING).",
        ),
        (StepLimits(), "exit code 137."),
        (None, "exit code 137."),
    ],
)
def test_a_step_that_was_killed_says_what_it_may_have_used(limits: StepLimits | None, said: str) -> None:
    reader = ProgressReader(lambda _: None, lambda: 0.0)
    reader.feed(b"#5 [1/1] RUN make\n#5 ERROR: executor failed running [/bin/sh -c make]: exit code: 137\n")
    reader.close()
    assert str(explain_failure(reader, 1, limits)).endswith(said)
