"""Each statement of the readme, and of the guide's promises, has a test that shows it; here are those no other has.

A sentence is found by a part of it, so that it may be worded better; one that nothing shows fails.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.crashes import is_given_up, quiet_after
from app.domain.job.records import Deployed, Job
from app.domain.job.spec import JobSpec, RunOnImageChange, ScheduleSettings
from app.domain.retry import Backoff, delay_after
from app.domain.rules import ImageEvent, on_image_change
from app.domain.runs import Reason, RunStatus
from app.http_notifier import TIME_LIMIT_SECONDS
from app.logs.lines import PATIENCE_SECONDS
from app.web import budget, connections
from app.web.pages.context import FORM_BYTES
from app.web.reading import BODY_LIMIT
from app.web.webhooks import LIMIT as WEBHOOK_LIMIT
from tests.support.guide import section
from tests.support.project import ROOT

README = (ROOT / "README.md").read_text()
SECTIONS = ("", "## Security")
PROMISES = {  # chapters of the guide, and those of their sections that are held to it
    "rules": (
        "## Does a push build?",
        "## Does the image move, and does a run start?",
        "## Which commit is deployed",
    ),
    "runs": ("## Retries and limits", "## Logs", "## States"),
    "builds": ("## Submodules and Git LFS",),
    "apps": ("## What a deployment does",),
    "pipelines": ("## Promote",),
    "flows": ("## What a flow promises",),
    "outages": (
        "## Registries, Git servers and the engine",
        "## Images that are gone",
        "## The disk and the clock",
    ),
    "backup": ("## Make a backup", "## Backups by a schedule", "## Restore"),
    "network": (
        "## What jobs and builds may reach",
        "## Where that is enforced",
        "## What the server and the engine reach",
    ),
    "security": ("## Images and caches belong to a project", "## What strangers may send"),
}
ADVICE = (  # what Jobyard does not do, but its reader
    "have unfinished uploads removed by a rule of its own",
    "what strangers may send [is bounded]",
    "are copied by you",
    "Builds run code of the repositories you connect",
    "Whoever reaches the engine's socket is root",
    "keeps jobs from nothing",
    "in a form that isn't masked",
    "Encryption on the wire",
    "a server of bad intent can lead it to any address",
    "A build that takes the address of such a container",
    "who may pull what is there is for the registry to say",
)
SHOWN = {
    "Jobyard is a self-hosted runner": "e2e/test_push.py::a_push_builds_the_commit_and_runs_the_job",
    "it verifies the webhook, finds out what": "e2e/test_push.py::a_push_that_builds_nothing_says_why",
    "From a repository to an image": "e2e/test_build_examples.py::container_prints_what_is_expected",
    "Jobs in full.": "e2e/test_runs.py::overrides_are_for_one_run_only",
    "Apps and pipelines.": "e2e/test_pipeline.py::from_push_to_production",
    "Kill it at any moment": "fault/test_kill.py::killed_again_and_again_in_one_push",
    "leaves one stored decision per job": "contract/store/test_rows.py::one_decision_for_an_event_and_a_job",
    "A push builds if all of this is so": "integration/workers/test_pushes.py::"
    "a_push_that_is_not_built_says_why_and_does_nothing_else",
    "CI is on, and the job not paused": "integration/workers/test_pushes.py::"
    "a_push_that_is_not_built_says_why_and_does_nothing_else",
    "in any commit of the push": "integration/workers/test_pushes.py::"
    "a_push_that_is_not_built_says_why_and_does_nothing_else",
    "in `.gitignore` syntax, as Git reads it": "integration/workers/test_change_sets.py::"
    "where_git_cannot_say_the_push_builds_and_says_so",
    "It is to the tracked branch": "integration/workers/test_pushes.py::"
    "a_push_that_is_not_built_says_why_and_does_nothing_else",
    "`never`, `cd-promote` or": "integration/sentences/test_readme.py::the_table_of_images_and_runs",
    "is promoted to its peer": "integration/api/apps/test_pipelines.py::a_job_is_promoted",
    "To pass over a stage": "integration/api/apps/test_pipelines.py::only_an_administrator_skips_a_stage",
    "A promotion to a job turns its CD off": "integration/api/apps/test_pipelines.py::a_job_is_promoted",
    "Promoting to a paused job": "integration/api/apps/test_pipelines.py::"
    "a_promotion_to_a_paused_job_wants_to_be_confirmed",
    "Each job has a setting": "integration/sentences/test_readme.py::the_table_of_images_and_runs",
    "Nothing is built again": "integration/api/apps/test_pipelines.py::an_app_is_promoted_by_digest_with_its_hooks",
    "Git is asked for the files": "integration/workers/test_change_sets.py::"
    "where_git_cannot_say_the_push_builds_and_says_so",
    "Tags and deleted branches": "e2e/test_push.py::a_tag_and_a_deleted_branch_build_nothing",
    "A manual build ignores": "integration/api/test_builds.py::"
    "a_manual_build_ignores_the_rules_and_is_decided",
    "A push that no hook told of": "e2e/test_missed_pushes.py::"
    "a_push_that_was_made_while_the_server_was_down_is_built_and_run_at_its_start",
    "It counts as any other, once": "integration/workers/test_comparing.py::"
    "hooks_that_come_late_build_the_head_no_second_time",
    "A branch that is newly tracked": "integration/workers/test_comparing.py::"
    "what_came_while_ci_was_off_is_not_caught_up_with",
    "Of a scheduled job the concurrency": "integration/api/test_plan.py::"
    "a_run_that_is_alive_is_reckoned_with",
    "An old slow build never wins": "integration/workers/test_builds.py::an_old_slow_build_never_overtakes",
    "turn CD off": "integration/pages/test_by_hand.py::"
    "deploying_the_latest_build_keeps_cd_on_and_an_image_turns_it_off",
    "CD switched on again": "integration/workers/test_following.py::"
    "cd_switched_on_deploys_the_latest_build_and_starts_nothing",
    "A manual build of a commit that": "integration/workers/test_following.py::"
    "a_commit_that_is_not_on_the_branch_is_only_available",
    "A tag is resolved to its digest": "e2e/test_registry.py::"
    "a_promotion_carries_what_was_deployed_whatever_its_tag_means_by_then",
    "A manual deploy to a paused job": "integration/api/test_deploys.py::"
    "a_paused_job_asks_before_it_is_deployed_or_promoted_to",
    "retries after the first attempt": "integration/sentences/test_readme.py::waits_between_attempts",
    "The time limit is over everything": "integration/workers/test_runs.py::the_time_limit_covers_the_waits",
    "only if its process really exited 0": "e2e/test_runs.py::the_exit_code_decides",
    "builds and runs wait, say why": "integration/workers/test_outages.py::"
    "after_the_last_try_it_says_for_how_long_it_was_tried",
    "A build's time limit counts only building": "integration/workers/test_outages.py::"
    "a_build_waits_for_an_engine_without_a_worker",
    "for an engine that does not answer they wait": "integration/workers/test_outages.py::"
    "a_run_waits_without_an_end_for_an_engine_that_is_known_to_be_down",
    "An image that the engine lost": "e2e/test_gone_images.py::an_image_that_is_gone_is_built_again",
    "The run or rollback that needs it": "integration/workers/gone_images/test_deployments.py::"
    "a_rollback_waits_for_what_is_gone",
    "An image that was not built here": "integration/workers/gone_images/test_bounds.py::"
    "an_image_of_a_registry_names_the_next_step",
    "The page of a deleted job": "integration/workers/test_deleted_jobs.py::"
    "its_page_says_when_it_was_deleted_and_has_no_forms",
    "at three ends of the server": "integration/sentences/test_readme.py::ends_of_the_server",
    "Submodules and Git LFS files are": "integration/checkout/test_contents.py::"
    "a_submodule_of_another_host_gets_no_credential",
    "say what is not there": "unit/builders/test_omitted.py::",
    "Lines of several instances": "e2e/test_runs.py::lines_of_instances_and_streams_come_whole",
    "gives what one of them said": "integration/api/test_logs.py::what_one_instance_or_stream_said",
    "Pages show up to 4 KiB of a line": "integration/pages/test_logs.py::"
    "the_rest_of_a_long_line_is_a_link_away",
    "give any stretch of the bytes": "integration/api/test_logs.py::"
    "a_stretch_of_bytes_is_read_by_offset_and_limit",
    "is folded on a page once it is over": "e2e/test_browser_log.py::groups_are_folded_and_open_where_one_looks",
    "counts what it finds in all attempts": "e2e/test_browser_log.py::the_whole_log_is_searched_in_all_attempts",
    "What is chosen is in the address": "e2e/test_browser_log.py::"
    "one_instance_and_stream_alone_and_kept_in_the_download",
    "*Times* are of the day": "e2e/test_browser_log.py::times_of_the_day_since_the_start_or_none",
    "finds lines in all attempts": "integration/api/test_log_search.py::"
    "all_attempts_instances_and_streams_are_searched",
    "with its `next` as `after`": "integration/api/test_log_search.py::a_search_goes_on_where_it_stopped",
    "moves its images at once or not at all": "integration/workers/deployments/test_steps.py::"
    "a_failed_pre_deploy_job_moves_nothing",
    "takes the images of a stage": "integration/api/apps/test_pipelines.py::"
    "an_app_is_promoted_by_digest_with_its_hooks",
    "A release flow puts these in order": "e2e/test_flows.py::from_a_build_to_a_message",
    "A message with a `url` is posted": "integration/workers/test_http_notifier.py::"
    "a_message_arrives_as_chats_take_it",
    "answered with a status that may pass": "integration/workers/test_http_notifier.py::what_is_not_taken",
    "It may arrive twice": "fault/test_flow_crash_points.py::"
    "a_message_that_is_posted_when_the_server_dies_is_lost_by_none",
    "Builds and runs are `queued`": "integration/sentences/test_readme.py::states_and_reasons",
    "Why a run failed": "integration/sentences/test_readme.py::states_and_reasons",
    "why it was cancelled": "integration/sentences/test_readme.py::states_and_reasons",
    "`jobyard backup` may run at any time": "fault/test_restore.py::"
    "no_timeline_takes_a_container_of_the_others",
    "It writes one tar": "integration/cli/machine/test_backup_places.py::"
    "postgresql_is_backed_up_and_restored_with_its_own_tools",
    "instead of a file is a bucket": "integration/cli/machine/test_backup_places.py::"
    "a_bucket_takes_a_backup_of_any_size_without_the_key_and_gives_it_back",
    "With the key in it a backup": "integration/cli/machine/test_backup_places.py::"
    "the_key_is_where_it_is_asked_for",
    "A key from `JOBYARD_SECRET_KEY` or a command": "integration/cli/machine/test_backup_places.py::"
    "a_key_that_is_elsewhere_is_in_no_backup",
    "reads a backup to its end": "integration/cli/machine/test_backup_places.py::"
    "whatever_is_cut_off_or_changed_is_noticed_and_restores_nothing",
    "the server makes such backups by itself": "integration/cli/machine/test_scheduled_backups.py::"
    "a_server_makes_what_was_missed_and_finds_it_whole",
    "one that was missed while no server ran": "integration/workers/test_backups.py::"
    "what_was_missed_is_made_once",
    "Of several servers on one": "integration/workers/test_backups.py::"
    "a_server_that_dies_at_any_moment_is_taken_over_from",
    "Each backup is verified, in a directory": "integration/cli/machine/test_scheduled_backups.py::"
    "one_that_is_not_whole_is_not_there_and_removes_none",
    "A restored installation leaves": "integration/cli/machine/test_scheduled_backups.py::"
    "only_what_this_epoch_made_is_removed",
    "One that fails is tried again": "integration/workers/test_backups.py::"
    "one_that_fails_says_why_and_is_tried_again_later_and_later",
    "What came of the last one is told": "integration/cli/machine/test_scheduled_backups.py::"
    "a_server_makes_what_was_missed_and_finds_it_whole",
    "The directory has to be there": "integration/cli/machine/test_scheduled_backups.py::"
    "where_none_can_be_is_refused_or_told_of",
    "`jobyard restore` fills an empty": "integration/cli/machine/test_backup_places.py::"
    "postgresql_is_backed_up_and_restored_with_its_own_tools",
    "With `--drill` its server starts no loop": "integration/cli/machine/test_backup_places.py::"
    "a_drill_shows_everything_and_starts_no_loop",
    "Each page and `/readyz` say so": "integration/cli/machine/test_backup_places.py::"
    "a_drill_is_not_taken_for_the_server_that_it_is_a_copy_of",
    "A backup may be tried beside": "fault/test_restore.py::no_timeline_takes_a_container_of_the_others",
    "`jobyard restore` lists the containers": "integration/cli/machine/test_backup.py::"
    "a_new_epoch_lists_what_the_engine_has_from_before",
    "When the restored server starts": "integration/workers/test_epochs.py::"
    "a_build_that_was_being_made_is_made_again",
    "call `jobyard new-epoch`": "integration/cli/machine/test_backup.py::"
    "a_new_epoch_waits_for_the_servers_end",
    "Nobody notices if you don't": "integration/workers/test_epochs.py::"
    "a_run_with_the_id_of_anothers_has_its_own_container_and_log",
    "with the reason on the build's page, or": "integration/sentences/test_shown.py::"
    "a_build_that_waits_to_be_tried_again_waits_for_no_builder",
    "A full or unwritable data directory": "e2e/test_full_disk.py::"
    "a_server_takes_nothing_on_and_goes_on_by_itself",
    "After the clock was set back": "integration/workers/test_clock_changes.py::"
    "times_that_come_again_are_skipped_with_one_decision",
    "Webhooks are verified over the raw": "contract/test_forges.py::only_the_raw_bytes_verify",
    "Secrets are sealed in the database": "e2e/test_secrets.py::"
    "a_secret_is_seen_nowhere_but_in_build_and_job",
    "Job containers have no capabilities": "contract/test_docker_engine.py::hardening_seen_from_inside",
    "but at a link-local address": "integration/checkout/attacks/test_reach.py::"
    "no_git_server_is_at_a_link_local_address",
    "`JOBYARD_EGRESS` lists what": "fault/test_egress.py::jobs_and_builds_reach_what_the_setting_says",
    "`private` is 10.0.0.0/8": "fault/test_egress.py::a_published_port_is_the_hosts",
    "No job and no step of a build ever reaches": "fault/test_egress.py::"
    "name_servers_are_asked_wherever_they_are_and_for_nothing_else",
    "Whether jobs reach one another": "contract/test_docker_engine.py::jobs_reach_outside_but_not_one_another",
    "enforces it by rules": "fault/test_egress.py::jobs_and_builds_reach_what_the_setting_says",
    "They come first in `DOCKER-USER`": "fault/test_egress.py::rules_that_somebody_removes_are_set_again",
    "Any other server (as a container": "unit/engines/test_egress_rules.py::"
    "where_the_filter_is_not_the_servers_it_is_said_why",
    "The process engine enforces nothing": "unit/engines/test_egress_rules.py::processes_are_not_confined",
    "Builds run on the engine's default bridge": "fault/test_egress.py::"
    "jobs_and_builds_reach_what_the_setting_says",
    "The rules there are for all": "fault/test_egress.py::"
    "other_containers_of_the_default_bridge_are_left_alone",
    "nothing on that bridge is touched": "fault/test_egress.py::an_open_bridge_is_left_alone_and_told_of",
    "keeps the rules that it was started with": "fault/test_egress.py::"
    "a_job_on_a_network_of_its_own_keeps_the_rules_it_was_started_with",
    "Where `JOBYARD_EGRESS` is set and leaves": "unit/engines/test_registries.py::"
    "where_the_setting_leaves_out_no_registry_is_asked",
    "What a Dockerfile's `ADD` takes": "integration/sentences/test_refused.py::"
    "a_file_is_added_only_from_where_builds_may_reach",
    "is looked at by address": "integration/sentences/test_refused.py::"
    "a_file_is_added_only_from_where_builds_may_reach",
    "Images and build caches are": "e2e/test_neighbours.py::an_image_is_its_projects_alone",
    "An image is named in a job": "integration/workers/test_ownership.py::"
    "no_door_takes_another_projects_image",
    "Images that earlier releases made": "integration/workers/test_ownership.py::"
    "names_that_earlier_releases_gave_are_replaced_once",
    "Cache mounts and the results": "e2e/test_neighbours.py::"
    "caches_and_results_of_steps_are_a_projects_alone",
    "a request's head has 64 KiB": "integration/sentences/test_readme.py::what_a_stranger_may_send",
    "A body has 10 s for each": "integration/sentences/test_readme.py::what_a_stranger_may_send",
    "one that stopped for a second": "integration/sentences/test_readme.py::what_a_stranger_may_send",
    "Bodies under way take 64 MiB": "integration/sentences/test_readme.py::what_a_stranger_may_send",
    "A webhook's body has 25 MiB": "integration/sentences/test_readme.py::what_a_stranger_may_send",
    "Before that, when less than 10 %": "unit/domain/test_room.py::each_mark_is_a_share_of_the_disk_within_bounds",
    "(as `disk`) and the log say that": "integration/workers/test_disk_alarm.py::readyz_and_every_page_say_so",
}


def sections() -> dict[str, str]:
    """By heading, the first part by none."""
    parts = re.split(r"^(##+ .*)$", README, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def statements() -> list[str]:
    """The sentences of the sections that say what Jobyard does, without tables, pictures and commands."""
    found = []
    texts = [sections()[heading] for heading in SECTIONS]
    texts += [section(name, heading) for name, headings in PROMISES.items() for heading in headings]
    for whole in texts:
        text = re.sub(r"^```.*?^```$|^(\||!\[|    |# ).*?$", "", whole, flags=re.M | re.S)
        for paragraph in re.split(r"\n\s*\n|\n- ", text):
            found += re.split(r"(?<=[.?:])\s+(?=[A-Z*`])", " ".join(paragraph.split()))
    return [each for each in found if len(each.split()) > 3]


def test_every_statement_is_shown_by_a_test() -> None:
    known = [*SHOWN, *ADVICE]
    assert [each for each in statements() if not any(part in each for part in known)] == []
    whole = " ".join(statements())
    assert [part for part in known if part not in whole] == []


@pytest.mark.parametrize("where", sorted(set(SHOWN.values())))
def test_what_shows_a_statement_is_there(where: str) -> None:
    path, _, name = where.partition("::")
    assert f"def test_{name}" in (ROOT / "tests" / path).read_text()


def test_every_promise_of_the_section_on_security_names_tests_that_are_there() -> None:
    rows = [line for line in sections()["## Security"].splitlines() if line.startswith("| ")][1:]
    tried_by = [re.findall(r"`(tests/[^`]+)`", row) for row in rows]
    assert len(rows) > 10
    assert all(tried_by), rows
    assert [path for paths in tried_by for path in paths if not (ROOT / path).exists()] == []


# the table

EVENTS = {
    "build succeeded, CD on": (ImageEvent.BUILD_SUCCEEDED, True),
    "build succeeded, CD off": (ImageEvent.BUILD_SUCCEEDED, False),
    "build failed or cancelled": (ImageEvent.BUILD_FAILED, True),
    "promoted through a pipeline": (ImageEvent.PROMOTED, True),
    "deployed manually or by API": (ImageEvent.DEPLOYED, True),
}


def job(rule: str, *, cd: bool = True, paused: bool = False, inactive: bool = False) -> Job:
    return Job(
        id=1,
        project_id=1,
        project="acme",
        name="report",
        spec=JobSpec(
            "report",
            cd_enabled=cd,
            run_on_image_change=RunOnImageChange(rule),
            schedule=ScheduleSettings("0 0 * * *", active=False) if inactive else None,
            paused=paused,
        ),
        deployed=Deployed("image", "digest", None, None, "", datetime(2026, 1, 31, tzinfo=UTC)),
    )


def rows() -> dict[str, list[str]]:
    lines = [
        line.strip("| ").split(" | ")
        for line in section("rules", "## Does the image move, and does a run start?").splitlines()
        if "|" in line
    ]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


@pytest.mark.parametrize("event", EVENTS)
def test_the_table_of_images_and_runs(event: str) -> None:
    *cells, image = rows()[event]
    kind, cd = EVENTS[event]
    for rule, cell in zip(rows()["what happened"], cells, strict=False):
        change = on_image_change(kind, job(rule, cd=cd), what="It")
        assert (change.runs, change.moves) == (cell == "run", image == "moves")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", ["paused", "inactive"])
def test_the_rows_of_the_table_for_jobs_that_are_held(event: str, state: str) -> None:
    (row,) = [cells for name, cells in rows().items() if name.startswith("any of these") and state in name]
    assert set(row[:3]) == {"\N{EN DASH}"}
    kind, cd = EVENTS[event]
    for rule in RunOnImageChange:
        change = on_image_change(
            kind, job(rule, cd=cd, paused=state == "paused", inactive=state == "inactive"), what="It"
        )
        as_above = rows()[event][-1] == "moves"
        explicit = kind in (ImageEvent.PROMOTED, ImageEvent.DEPLOYED)
        assert (change.runs, change.moves) == (False, explicit if state == "paused" else as_above)


# figures


def test_waits_between_attempts() -> None:
    waits = [delay_after(failures, Backoff.EXPONENTIAL) for failures in range(1, 20)]
    assert [wait.total_seconds() for wait in waits[:3]] == [10, 20, 40]
    assert max(waits) == timedelta(minutes=6)
    assert delay_after(9, Backoff.FIXED) == timedelta(seconds=10)
    assert delay_after(9, Backoff.NONE) == timedelta(0)


def test_ends_of_the_server() -> None:
    assert [quiet_after(ends).total_seconds() for ends in (2, 3, 4, 5)] == [0, 15, 30, 60]
    assert (is_given_up(7), is_given_up(8)) == (False, True)


def test_states_and_reasons() -> None:
    states, reasons = section("runs", "## States").split("Why a run failed:")
    failed, cancelled = reasons.split("why it was cancelled:")
    assert set(re.findall(r"`(\w+)`", states)) == set(RunStatus)
    names = [set(re.findall(r"`(\w+)`", each)) for each in (failed, cancelled)]
    assert names[1] == {Reason.CANCELLED, Reason.REPLACED}
    assert names[0] | names[1] == set(Reason)


def test_what_a_stranger_may_send() -> None:
    mib = 1024 * 1024
    bounds = budget.Bounds()
    assert (connections.Bounds().head_seconds, connections.MOST) == (10, 1000)
    assert (bounds.block_seconds, bounds.patience_seconds, budget.BLOCK_BYTES) == (10, 60, 64 * 1024)
    assert (bounds.stalled_seconds, bounds.slowest_seconds, bounds.wait_seconds) == (1, 20, 5)
    assert (64 * mib, 256 * 1024, 16 * mib) == (bounds.large_pool, budget.SMALL_BYTES, bounds.small_pool)
    assert (25 * mib, mib, mib) == (WEBHOOK_LIMIT, BODY_LIMIT, FORM_BYTES)
    assert (PATIENCE_SECONDS, TIME_LIMIT_SECONDS) == (0.75, 10)
