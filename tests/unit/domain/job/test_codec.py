"""Specifications and their JSON: what is stored reads as what it was, and so do rows without a version."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.job import codec
from app.domain.job.checks import Check, CheckType, CommandCheck, HttpCheck, TcpCheck
from app.domain.job.effective import Overrides
from app.domain.job.spec import (
    OVERRIDABLE,
    BuildConfig,
    BuildServiceSource,
    BuildsInFlight,
    ConcurrencyPolicy,
    GitSource,
    ImageSource,
    JobKind,
    JobSource,
    JobSpec,
    NoSource,
    RunOnImageChange,
    RunSpec,
    ScheduleSettings,
)
from app.domain.job.variables import EnvScope, EnvValue, SharedValue
from app.domain.retry import Backoff

texts, numbers, flags = st.text(max_size=8), st.integers(0, 1000), st.booleans()
commands = st.none() | texts | st.lists(texts, max_size=3).map(tuple)
values = st.builds(EnvValue, texts, flags, st.sampled_from(EnvScope))
envs = st.dictionaries(texts, values, max_size=3)
types = st.sampled_from(CheckType)
checks: st.SearchStrategy[Check] = (
    st.builds(HttpCheck, types, texts, numbers, period_seconds=numbers)
    | st.builds(TcpCheck, types, numbers, timeout_seconds=numbers)
    | st.builds(CommandCheck, types, texts | st.lists(texts).map(tuple))
)
runs = st.builds(
    RunSpec,
    command=commands,
    entrypoint=commands,
    shell=flags,
    process=st.none() | texts,
    env=envs,
    plan=texts,
    instances=numbers,
    retry_limit=numbers,
    retry_backoff=st.sampled_from(Backoff),
    time_limit_seconds=st.none() | numbers,
    grace_period_seconds=numbers,
    health_checks=st.lists(checks, max_size=2).map(tuple),
)
builds = st.builds(BuildConfig, target=st.none() | texts, paths=st.lists(texts).map(tuple), lfs=flags)
sources: st.SearchStrategy[JobSource] = (
    st.builds(GitSource, texts, texts, st.none() | texts, builds)
    | st.builds(BuildServiceSource, texts)
    | st.builds(ImageSource, texts, st.none() | texts)
    | st.just(NoSource())
)
schedules = st.builds(ScheduleSettings, texts, texts, flags, st.sampled_from(ConcurrencyPolicy), numbers)
specs = st.builds(
    JobSpec,
    name=texts,
    display_name=texts,
    source=sources,
    ci_enabled=flags,
    cd_enabled=flags,
    builds_in_flight=st.sampled_from(BuildsInFlight),
    run_on_image_change=st.sampled_from(RunOnImageChange),
    kind=st.sampled_from(JobKind),
    schedule=st.none() | schedules,
    run=runs,
    paused=flags,
)


def as_stored(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(specs)
def test_a_job_reads_as_what_was_stored(spec: JobSpec) -> None:
    stored = as_stored(codec.stored_job(spec))
    assert stored["version"] == codec.VERSION
    assert codec.job_from_json(stored) == spec


@given(runs)
def test_a_run_reads_as_what_was_stored(spec: RunSpec) -> None:
    stored = as_stored(codec.stored_run(spec))
    assert (next(iter(stored)), [*stored][-1]) == ("version", "env")
    assert codec.run_from_json(stored) == spec


@given(runs, st.sets(st.sampled_from(OVERRIDABLE)), st.dictionaries(texts, st.none() | values, max_size=3))
def test_overrides_store_what_was_given_and_no_more(
    spec: RunSpec, named: set[str], env: dict[str, EnvValue | None]
) -> None:
    stored = as_stored(codec.overrides_to_json(Overrides(spec, frozenset(named), env, sha="abc")))
    assert stored.keys() == {"sha", "env", *named}
    read = codec.overrides_from_json(stored)
    assert (read.given, read.env, read.sha) == (named, env, "abc")
    assert all(getattr(read.spec, name) == getattr(spec, name) for name in named)


def test_shared_variables_keep_the_name_of_their_group() -> None:
    shared = {"A": SharedValue(EnvValue("x"), "mail"), "B": SharedValue(EnvValue("y", secret=True), "mail")}
    assert codec.shared_from_json(as_stored(codec.shared_to_json(shared))) == shared


def test_what_an_older_release_left_out_has_its_default() -> None:
    """A row without a version, without fields that came later, and with a variable that says less than today's do."""
    stored = {
        "name": "report",
        "source": {"type": "git", "git": {"url": "u", "branch": "main", "credential": None}, "build": {}},
        "env": {"A": "x", "B": {"value": "y"}, "C": {"value": "z", "secret": True, "scope": None}},
        "health_checks": [{"type": "liveness", "protocol": "tcp", "path": None, "port": 80, "cmd": None}],
    }
    spec = codec.job_from_json(stored)
    assert spec.source == GitSource("u")
    assert spec.builds_in_flight is BuildsInFlight.ALL
    assert spec.run == RunSpec(
        env={"A": EnvValue("x"), "B": EnvValue("y"), "C": EnvValue("z", secret=True)},
        health_checks=(TcpCheck(CheckType.LIVENESS, 80),),
    )
    assert codec.run_from_json({}) == RunSpec()


@pytest.mark.parametrize("read", [codec.job_from_json, codec.run_from_json])
def test_what_a_later_release_wrote_is_refused(read: Any) -> None:
    with pytest.raises(ValueError, match="of this form is of a later release, which alone can read it"):
        read({"name": "report", "version": codec.VERSION + 1})
    with pytest.raises(ValueError, match="no source has the type 'svn'"):
        codec.source_from_json({"type": "svn"})


def test_no_value_of_a_secret_is_shown_or_in_a_repr() -> None:
    spec = JobSpec("report", run=RunSpec(env={"A": EnvValue("sealed", secret=True), "B": EnvValue("plain")}))
    shown = codec.shown_job(spec)
    assert shown["env"] == {"A": {"value": None, "secret": True, "scope": "run"}, "B": "plain"}
    assert "sealed" not in f"{shown}{spec!r}{spec.run.env['A']!r}"
