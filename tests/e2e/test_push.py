"""A signed push over HTTP, a real fetch, a real build, a real run: what a user sees of it."""

import pytest

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, docker_client

MAIN = """\
import os, sys
for number in range(3):
    print("line", number, flush=True)
print(os.environ["JOBYARD_GIT_SHA"], os.environ["JOBYARD_GIT_BRANCH"])
"""


def test_a_push_builds_the_commit_and_runs_the_job(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    push = hosted.push({"main.py": MAIN})
    assert push.status == 202
    assert push.body == {"delivery": push.delivery, "status": "accepted"}
    run = hosted.ran(push)
    assert (run["status"], run["exit_code"], run["attempts"]) == ("succeeded", 0, 1)
    assert run["sha"] == push.sha
    assert run["trigger"]["type"] == "image_change"
    assert jobyard.log_of(run) == f"line 0\nline 1\nline 2\n{push.sha} main\n"
    (build,) = hosted.builds()
    assert build["sha"] == push.sha
    assert build["plan"]["runtime"] == "python"
    assert build["digest"] == run["digest"]
    decision = hosted.decision(push)
    assert decision["verdict"] == "built"
    assert decision["sentence"] == f"Push of {push.sha[:7]} to main: build {build['id']}."
    assert jobyard.api("GET", f"{hosted.path}")["deployed"]["sha"] == push.sha


def test_a_change_of_one_line_builds_from_the_cache(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    hosted.ran(hosted.push({"main.py": "print('first')\n", "requirements.txt": "six==1.17.0\n"}))
    run = hosted.ran(hosted.push({"main.py": "print('second')\n"}))
    assert jobyard.log_of(run) == "second\n"
    log = jobyard.text(f"/builds/{run['build']}/logs")
    install = next(line for line in log.splitlines() if "RUN" in line and "pip" in line)
    assert f"{install.split()[0]} CACHED" in log.splitlines()


def test_a_repository_with_a_dockerfile(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    dockerfile = 'FROM busybox:latest\nCOPY greeting /greeting\nCMD ["cat", "/greeting"]\n'
    run = hosted.ran(hosted.push({"Dockerfile": dockerfile, "greeting": "good morning\n"}))
    assert jobyard.log_of(run) == "good morning\n"
    assert hosted.builds()[0]["plan"]["runtime"] == "dockerfile"


def test_two_pushes_in_quick_succession(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    first = hosted.push({"main.py": "print('first')\n"})
    second = hosted.push({"main.py": "print('second')\n"})
    assert jobyard.log_of(hosted.ran(second)) == "second\n"
    assert jobyard.built(first)["sha"] == first.sha  # each its own commit, not whatever the branch is by then
    jobyard.wait_for("no run goes on", lambda: all(run["status"] == "succeeded" for run in hosted.runs()))
    assert jobyard.api("GET", hosted.path)["deployed"]["sha"] == second.sha
    assert [run["sha"] for run in hosted.runs()].count(second.sha) == 1
    assert [run["sha"] for run in hosted.runs()].count(first.sha) <= 1


def test_a_repeated_delivery_is_processed_once(jobyard: JobyardServer, hosted: HostedJob) -> None:
    hosted.job()
    push = hosted.push({"main.py": "print('once')\n"})
    again = hosted.send(delivery=push.delivery)
    assert (again.status, again.body["status"]) == (200, "duplicate")
    hosted.ran(push)
    assert hosted.send(delivery=push.delivery).body["status"] == "duplicate"
    assert len(hosted.builds()) == len(hosted.runs()) == 1


@pytest.mark.parametrize(
    ("job", "branch", "files", "message", "rule", "sentence"),
    [
        ({}, "topic", {"a": "1"}, "Change", "other_branch", "Push of {sha} to topic: only main is tracked."),
        (
            {},
            "main",
            {"a": "1"},
            "Fix\n\n[skip ci]",
            "commit_flag",
            "Commit {sha} of the push says [skip ci].",
        ),
        (
            {"build": {"paths": ["docs/"]}},
            "main",
            {"docs/a.md": "1", "docs/b.md": "2"},
            "Change",
            "paths",
            "Push of {sha} to main changed 2 files, all ignored by the path rules (docs/).",
        ),
        (
            {"ci_enabled": False},
            "main",
            {"a": "1"},
            "Change",
            "ci_off",
            "CI is off: turn it on to build pushes.",
        ),
        (
            {"paused": True},
            "main",
            {"a": "1"},
            "Change",
            "paused",
            "The job is paused: resume it to build pushes again.",
        ),
    ],
    ids=["other branch", "skip ci", "ignored paths", "CI off", "paused"],
)
def test_a_push_that_builds_nothing_says_why(
    jobyard: JobyardServer,
    hosted: HostedJob,
    job: dict[str, object],
    branch: str,
    files: dict[str, str | None],
    message: str,
    rule: str,
    sentence: str,
) -> None:
    hosted.job(**job)
    hosted.repository.commit({"main.py": "print('never')\n"})
    before = hosted.repository.head
    if branch != "main":
        hosted.repository.git("checkout", "--quiet", "-b", branch)
    push = hosted.push(files, message, before=before, ref=f"refs/heads/{branch}")
    decision = hosted.decision(push)
    assert (decision["verdict"], decision["rule"]) == ("skipped", rule)
    assert decision["sentence"] == sentence.format(sha=push.sha[:7])
    assert decision["id"] in [each["id"] for each in jobyard.api("GET", f"{hosted.path}/why")["items"]]
    assert hosted.builds() == hosted.runs() == []


def test_a_tag_and_a_deleted_branch_build_nothing(hosted: HostedJob) -> None:
    hosted.job()
    hosted.repository.commit({"main.py": "print('never')\n"})
    tag = hosted.send(ref="refs/tags/v1")
    assert hosted.decision(tag)["sentence"] == "Push of refs/tags/v1: tags don't build."
    gone = hosted.send(before=hosted.repository.head, after=None)
    assert hosted.decision(gone)["sentence"] == "Branch main was deleted: there is nothing to build."
    assert hosted.builds() == hosted.runs() == []


def test_containers_publish_no_port_and_images_say_where_they_are_from(
    jobyard: JobyardServer, hosted: HostedJob
) -> None:
    hosted.job()
    dockerfile = 'FROM busybox:latest\nEXPOSE 8080\nCMD ["sh", "-c", "echo up; sleep 60"]\n'
    push = hosted.push({"Dockerfile": dockerfile})
    jobyard.built(push)
    run = jobyard.wait_for("a run that speaks", lambda: next(filter(jobyard.log_of, hosted.runs()), None))
    with docker_client() as client:
        (container,) = [
            client.inspect_container(each["Id"])
            for each in jobyard.containers(client)
            if each["Labels"]["jobyard.run"] == run["name"]
        ]
        image = client.inspect_image(run["digest"])
    jobyard.api("POST", f"/runs/{run['id']}/cancel")
    assert not any(container["NetworkSettings"]["Ports"].values())
    assert not container["HostConfig"]["PortBindings"]
    assert container["HostConfig"]["PublishAllPorts"] is False
    assert container["HostConfig"]["Binds"] is None
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == push.sha
    assert labels["org.opencontainers.image.source"] == hosted.url
    assert labels["org.opencontainers.image.created"].startswith("20")
    assert jobyard.over(f"/runs/{run['id']}")["status"] == "cancelled"
