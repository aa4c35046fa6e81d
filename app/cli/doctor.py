"""`jobyard doctor`: whether this machine has what Jobyard needs, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

import typer

from app.cli.backup_findings import check_backups
from app.cli.doctor_cluster import check_permissions
from app.cli.doctor_github import check_github_apps
from app.cli.doctor_logs import check_logs
from app.cli.doctor_outside import check_mail, check_provider, check_traces
from app.cli.doctor_secrets import check_secret_sources
from app.cli.findings import Finding
from app.cli.options import JsonOption, add_command
from app.disk import require_room
from app.domain.errors import DiskUnavailable, EngineUnavailable, JobyardError

if TYPE_CHECKING:
    from app.config import Settings

GIB = 2**30
ENOUGH_GIB, SCARCE_GIB = 10.0, 1.0
OLDEST_GIT = (2, 30)
ANSWER_SECONDS = 10


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "doctor",
        doctor,
        "jobyard doctor",
        "jobyard doctor --json | jq '.items[] | select(.state == \"fail\")'",
    )


def doctor(json: JsonOption = False) -> None:
    """Check this machine: container engine, BuildKit, Git, data directory, disk, key file, server.

    Also what containers may reach, what earlier releases stored, what forges refused, backups by a schedule, and
    (if there is one) the identity provider, the mail server, where nothing is sent, what secrets are read from, and
    whether traces can be sent. Exit status 1 if something fails; not for warnings.
    """
    from app.cli import output
    from app.config import read_settings

    settings = read_settings()
    findings = []
    for check in CHECKS:
        for finding in check(settings):
            findings.append(finding)
    if json:
        items = ({name: value for name, value in asdict(each).items() if value} for each in findings)
        output.print_json({"items": list(items)})
    else:
        output.print_table(
            ("", "WHAT", ""),
            [(output.status(finding.state), finding.what, finding.sentence) for finding in findings],
            "",
        )
        for commands in filter(None, (finding.commands for finding in findings)):
            typer.echo(f"\n{commands}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def check_engine(settings: Settings) -> Iterator[Finding]:
    from app.bootstrap.engine import ask_engine
    from builders.backends.step_limits import where

    what = f"engine {settings.engine}"
    try:
        health = ask_engine(settings)
    except JobyardError as error:
        yield Finding("fail", what, str(error))
        return
    yield Finding("ok" if health.is_up else "fail", what, health.sentence)
    if health.isolation:
        yield Finding("warn", what, health.isolation)
    if settings.is_engine_in_the_clear:
        said = "Calls to the engine are not encrypted, and it takes them from anybody: set JOBYARD_DOCKER_CERT_PATH."
        yield Finding("warn", what, said)
    if settings.engine in ("docker", "swarm") and health.is_up:
        yield judge_build_limits(settings, health.cgroup_driver, may_write=bool(where()))


def check_run_disk(settings: Settings) -> Iterator[Finding]:
    """Check whether the disk of runs is bounded."""
    from app.bootstrap.engine import ask_disk_refusal
    from app.runtime.engine_health import unbounded_disk

    what, most = "run disk", settings.run_disk_mb
    if not most:
        sentence = "Runs may write as much as there is room for (JOBYARD_RUN_DISK_MB is 0)."
        yield Finding("ok", what, sentence)
        return
    try:
        refusal = ask_disk_refusal(settings)
    except EngineUnavailable as error:
        refusal = str(error)
    if refusal:
        yield Finding("warn", what, unbounded_disk(most, refusal))
    else:
        yield Finding("ok", what, f"Each container of a run may write {most} MiB to its own files.")


def check_egress(settings: Settings) -> Iterator[Finding]:
    """Check what containers may reach; of an engine that does not answer is told elsewhere."""
    from app.bootstrap.engine import ask_confinement
    from app.installation import known_id

    try:
        found = ask_confinement(settings, known_id(settings) or "new")
    except EngineUnavailable:
        return
    if found.trouble:
        yield Finding("warn", "egress", found.trouble, found.commands)
    else:
        rules = f"rules for what jobs and builds may reach ({settings.may_reach})"
        is_set, is_due = f"The {rules} are in place.", f"A server that runs as this user sets the {rules}."
        yield Finding("ok", "egress", is_set if found.is_set else is_due)


def check_buildkit(settings: Settings) -> Iterator[Finding]:
    from builders.backends.base import BackendUnavailable
    from builders.backends.cli import find_cli

    try:
        cli = find_cli()
    except BackendUnavailable as error:
        yield Finding("warn" if settings.engine == "process" else "fail", "BuildKit", str(error))
        return
    how = "buildx" if cli.is_buildx else "BuildKit inside"
    yield Finding("ok", "BuildKit", f"{cli.argv[0]} can build ({how}).")


def judge_build_limits(settings: Settings, cgroup_driver: str, *, may_write: bool) -> Finding:
    """Judge whether the steps of builds are held to what they may use."""
    most = [f"{settings.build_memory_mb} MiB of memory"] * bool(settings.build_memory_mb)
    most += [f"{settings.build_cpus:g} CPUs"] * bool(settings.build_cpus)
    if not most:
        return Finding(
            "ok", "build limits", "Steps of builds have what the machine has, as the settings say."
        )
    if settings.has_local_engine and cgroup_driver == "cgroupfs" and may_write:
        return Finding("ok", "build limits", f"Each step of a build has at most {' and '.join(most)}.")
    sentence = (
        f"Steps of builds are not held to {' and '.join(most)}: that needs the engine on this machine, with the cgroup"
        f" driver cgroupfs (it has {cgroup_driver or 'none'}), and the right to write below /sys/fs/cgroup."
    )
    return Finding("warn", "build limits", sentence)


def check_git(_settings: Settings) -> Iterator[Finding]:
    from app.checkout import find_git

    try:
        program = find_git()
    except JobyardError as error:
        yield Finding("fail", "git", str(error))
        return
    done = subprocess.run(
        (program, "--version"), capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
    )
    yield judge_git(done.stdout.strip())


def judge_git(answer: str) -> Finding:
    """Judge the Git by what `git --version` says."""
    numbers = [int(part) for part in answer.removeprefix("git version ").split(".")[:2] if part.isdecimal()]
    if len(numbers) < 2:
        return Finding("warn", "git", f"git does not say its version, but {answer!r}: is that the real one?")
    if tuple(numbers) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        return Finding("fail", "git", f"{answer} is too old: install {oldest} or later.")
    return Finding("ok", "git", f"{answer}.")


def check_data(settings: Settings) -> Iterator[Finding]:
    data = settings.data.resolve()
    nearest = next(place for place in (data, *data.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        who = "is no directory" if not nearest.is_dir() else "can't be written by this user"
        yield Finding("fail", "data directory", f"{nearest} {who}: set JOBYARD_DATA to another place.")
        return
    sentence = f"{data} can be written." if nearest == data else f"{data} is made on the first start."
    yield Finding("ok", "data directory", sentence)
    try:
        require_room(nearest)
    except DiskUnavailable as error:
        yield Finding("fail", "disk", str(error))
        return
    yield judge_disk(shutil.disk_usage(nearest).free)


def judge_disk(free: int) -> Finding:
    """Judge the disk by the free bytes where the data is."""
    gib = free / GIB
    if gib < SCARCE_GIB:
        sentence = f"Only {gib:.1f} GiB are free: make room, or move JOBYARD_DATA to a larger disk."
        return Finding("fail", "disk", sentence)
    if gib < ENOUGH_GIB:
        return Finding(
            "warn", "disk", f"{gib:.1f} GiB are free; checkouts and logs soon want {ENOUGH_GIB:.0f}."
        )
    return Finding("ok", "disk", f"{gib:.0f} GiB are free.")


def check_key(settings: Settings) -> Iterator[Finding]:
    from app.installation import missing_key

    yield from _check_rotation(settings)
    if settings.secret_key is not None:
        yield Finding("ok", "secret key", "It is set by JOBYARD_SECRET_KEY.")
        return
    if settings.secret_key_command is not None:
        yield _check_key_command(settings.secret_key_command)
        return
    file = settings.key_file
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        if (settings.data / "jobyard.db").exists():
            yield Finding("fail", "secret key", missing_key(file))
        else:
            yield Finding("ok", "secret key", f"{file} is made on the first start.")
        return
    except OSError as error:
        yield Finding("fail", "secret key", f"{file} can't be looked at: {error.strerror}.")
        return
    if mode & 0o077:
        yield Finding("fail", "secret key", f"Others can read {file} (mode {mode:o}): chmod 600 {file}")
    else:
        yield Finding("ok", "secret key", f"{file} has mode {mode:o}.")


def _check_key_command(command: str) -> Finding:
    from app.secrets import SecretKeyError, key_of_command

    try:
        key_of_command(command)
    except SecretKeyError as error:
        return Finding("fail", "secret key", str(error))
    return Finding("ok", "secret key", "It is given by JOBYARD_SECRET_KEY_COMMAND.")


def _check_rotation(settings: Settings) -> Iterator[Finding]:
    """Check whether a rotation waits to be gone on with; a store that can't be read gives nothing."""
    from app.commands.key_rotation import openers_now
    from app.store.database import Database

    if settings.database_url is None and not (settings.data / "jobyard.db").is_file():
        return
    db = Database(settings.store_url)
    try:
        if len(openers_now(db)) > 1:
            said = "Two keys open the data, as a rotation is not over: call `jobyard admin rotate-key` again."
            yield Finding("warn", "secret key", said)
    except JobyardError:
        return  # which `credentials` tells of
    finally:
        db.close()


def check_stored(settings: Settings) -> Iterator[Finding]:
    """Check what earlier releases stored and this one would refuse; a store of another release gives none."""
    from app.installation import credentials_without_host, guessable_webhook_secrets
    from app.store.database import Database

    if settings.database_url is None and not (settings.data / "jobyard.db").is_file():
        return
    db = Database(settings.store_url)
    try:
        for sentence in credentials_without_host(db):
            yield Finding("warn", "credentials", sentence)
        for sentence in guessable_webhook_secrets(settings, db):
            yield Finding("warn", "webhook secrets", sentence)
    except JobyardError as error:
        yield Finding("warn", "credentials", str(error))
    finally:
        db.close()


def check_forges(settings: Settings) -> Iterator[Finding]:
    """What forges refused of late: statuses of commits, and webhooks that are not as they should be."""
    if settings.database_url is None and not (settings.data / "jobyard.db").is_file():
        return
    from app.installation import trouble_with_forges
    from app.store.database import Database

    db = Database(settings.store_url)
    try:
        for sentence in trouble_with_forges(db):
            yield Finding("warn", "forges", sentence)
    except JobyardError:
        return  # which `credentials` tells of
    finally:
        db.close()


def check_server(_settings: Settings) -> Iterator[Finding]:
    from app.cli.client import ApiError, Unreachable, open_api

    with open_api(ANSWER_SECONDS) as api:
        url = api.settings.url
        try:
            api.items("/projects", 1)
        except Unreachable as error:
            yield Finding("warn", "server", str(error))
        except ApiError as error:
            yield Finding("warn", "server", str(error))
        else:
            yield Finding("ok", "server", f"{url} answers, and knows the token.")


Check: TypeAlias = "Callable[[Settings], Iterator[Finding]]"
CHECKS: tuple[Check, ...] = (
    check_engine,
    check_permissions,
    check_egress,
    check_run_disk,
    check_buildkit,
    check_git,
    check_data,
    check_key,
    check_logs,
    check_stored,
    check_github_apps,
    check_forges,
    check_backups,
    check_provider,
    check_mail,
    check_secret_sources,
    check_traces,
    check_server,
)
