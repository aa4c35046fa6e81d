"""The commands by the headings they are listed under, without what they import.

`jobyard --help` and the completion of a command's name read this table alone; a command's module is imported when
that command is resolved. A test compares the sentences with the commands' own help.
"""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """A command's module in `app.cli`, and the first sentence of its help."""

    module: str
    summary: str


COMMANDS = {
    "Jobs and runs": {
        "jobs": Listed("jobs", "List the jobs of a project, or of all, with their last and next run."),
        "job": Listed("jobs", "Show a job: its source, switches, schedule, deployed image and last run."),
        "apply": Listed(
            "applying",
            "Make or change what a file declares: jobs, or sections of a project such as `jobs` and `apps`.",
        ),
        "export": Listed(
            "applying",
            "Print everything that is configured as YAML that `apply` takes; secrets are left out and named.",
        ),
        "delete": Listed("jobs", "Delete a job."),
        "pause": Listed(
            "jobs", "Pause a job: its CI, CD and schedule rest until it is resumed; what runs goes on."
        ),
        "resume": Listed("jobs", "Resume a paused job, as it was or with changes."),
        "run": Listed("runs", "Run a job now, with what is different for this run only."),
        "rerun": Listed(
            "runs", "Run again: with the same image and configuration, or with what the job has now."
        ),
        "runs": Listed("runs", "List runs, newest first: of one job, or of all."),
        "attempts": Listed("runs", "Show a run's attempts: how each began and ended."),
        "cancel": Listed(
            "runs",
            "Cancel a run: it is told to stop and has its grace period; cancelling again ends it at once.",
        ),
        "logs": Listed(
            "logs",
            "Print the log of a run, or of a build: to a file or pipe byte for byte, to a terminal made harmless.",
        ),
    },
    "Builds and deploys": {
        "builds": Listed("builds", "List builds, newest first: of one job, or of all."),
        "build": Listed(
            "builds",
            "Start a manual build, whatever the rules for pushes say: a commit, or the head of a branch.",
        ),
        "deploy": Listed("builds", "Point a job at an image, or all jobs of an app."),
    },
    "Apps and pipelines": {
        "apps": Listed("apps", "List the apps of a project, or of all."),
        "app": Listed(
            "apps", "Show an app: its jobs, when each of them runs in a deployment, and what it has."
        ),
        "deployments": Listed("apps", "List an app's deployments, newest first."),
        "deployment": Listed("apps", "Show a deployment and its steps."),
        "rollback": Listed("apps", "Go back to what a deployment left live."),
        "release-hold": Listed("apps", "Let pushes deploy an app again after a rollback."),
        "pipelines": Listed(
            "pipelines", "Show which commit is where: the pipelines of a project, or of all."
        ),
        "promote": Listed(
            "pipelines",
            "Promote what is deployed at a component to its peer in the next stage, by digest and without a build.",
        ),
        "flows": Listed("flows", "List the release flows of a project, or of all."),
        "flow": Listed("flows", "Release flows: run, list runs, show, approve, decline, cancel."),
    },
    "What happened and why": {
        "why": Listed("events", "Show why a job did or did not run: the latest decisions about it."),
        "decisions": Listed("events", "List decisions: every verdict about every event, with its reason."),
        "rehearse": Listed(
            "dry_run",
            "Say what a push would build, deploy and run, and why not the rest; nothing is done.",
        ),
        "deliveries": Listed(
            "events",
            "List what forges sent, and pushes that were found without, newest first; or show or replay one.",
        ),
    },
    "Without a server": {
        "plan": Listed("planning", "Say what would be built from a source tree, and why."),
        "dockerfile": Listed(
            "planning",
            "Print the Dockerfile that a source tree would be built with, or write it there, with its ignore file.",
        ),
        "schedule": Listed("schedules", "Print when a schedule is due, one time a line."),
        "import": Listed("importing", "From other platforms: App Platform specs, Northflank jobs."),
    },
    "The server's own machine": {
        "serve": Listed("server", "Run the server: webhooks, pages, API, builds and runs."),
        "config": Listed("configuring", "List every setting, its value and what it is for."),
        "demo": Listed(
            "demo", "Show the main thing on a throwaway server: a signed push, its build, its run, its log."
        ),
        "doctor": Listed(
            "doctor",
            "Check this machine: container engine, BuildKit, Git, data directory, disk, key file, server.",
        ),
        "backup": Listed(
            "backup", "Copy database, key and logs into one file or bucket, also while the server runs."
        ),
        "restore": Listed(
            "restore",
            "Fill an empty data directory from a backup, and say what of the time after it the engine still has.",
        ),
        "new-epoch": Listed(
            "new_epoch",
            "Say that this data has become a copy by other means than `restore`, before a server works on it.",
        ),
        "prune": Listed(
            "prune",
            "Remove what is older, or more, than is kept: runs, builds, deliveries, decisions, and their files.",
        ),
        "admin": Listed(
            "server",
            "The first account and token, and the key of secrets: make an administrator or a token, rotate the key.",
        ),
    },
    "For programs": {
        "mcp": Listed(
            "assistants",
            "Let an assistant read jobs, runs, logs and reasons by MCP, and what else is allowed.",
        ),
    },
    "Projects and access": {
        "project": Listed("projects", "Projects: make, list, limit, publish, webhook."),
        "audit": Listed("audit", "List who changed what and who was refused, newest first."),
        "user": Listed("users", "Users: invite, give rights, disable, reset, link, remove."),
        "token": Listed("tokens", "API tokens: make, list, revoke."),
        "credential": Listed("shared", "Credentials for Git servers and registries: list, apply, delete."),
        "secret-group": Listed("shared", "Variables that several jobs get: list, apply, delete."),
        "build-service": Listed(
            "shared", "Repositories that several jobs are built from: list, apply, delete."
        ),
        "target": Listed("shared", "Who is told what happens: list, apply, delete, test, deliveries."),
    },
}
