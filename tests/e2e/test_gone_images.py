"""Images that somebody removes from the engine are built again: for runs by hand, by schedule, and for a rollback."""

from __future__ import annotations

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, Json, docker_client

EVERY_MINUTE = {"cron": "* * * * *", "time_zone": "UTC", "active": True, "concurrency_policy": "forbid"}


def remove(*digests: str) -> None:
    """As `docker rmi -f` does."""
    with docker_client() as client:
        for digest in digests:
            client.remove_image(digest, force=True)


def test_an_image_that_is_gone_is_built_again(jobyard: JobyardServer, hosted: HostedJob) -> None:
    api, path = jobyard.api, f"/projects/acme/jobs/{hosted.name}"

    def has() -> Json:
        return api("GET", path)["deployed"]

    def push(text: str) -> tuple[str, str]:
        sent = hosted.push({"Dockerfile": f"FROM busybox:latest\nCMD echo {text}\n"})
        jobyard.wait_for("it is deployed", lambda: has() and has()["sha"] == sent.sha)
        return sent.sha, has()["digest"]

    hosted.job(run_on_image_change="never", kind="cron", schedule={**EVERY_MINUTE, "active": False})
    api("POST", "/projects/acme/apps", {"name": hosted.name, "jobs": [hosted.name]})
    (first_sha, one), (_, two) = push("one"), push("two")
    remove(one, two)

    run = jobyard.over(f"/runs/{hosted.start()['id']}")
    assert (run["status"], run["attempts"], jobyard.log_of(run)) == ("succeeded", 1, "two\n")
    again = api("GET", f"/builds/{run['build']}")
    assert (again["sha"], again["trigger"]["type"]) == (run["sha"], "rebuild")
    assert (has()["digest"], has()["build"]) == (run["digest"], run["build"])

    first = jobyard.items(f"/projects/acme/apps/{hosted.name}/deployments")[-1]
    back = api("POST", f"/deployments/{first['id']}/rollback")
    assert jobyard.over(f"/deployments/{back['id']}")["status"] == "succeeded"
    assert has()["sha"] == first_sha
    run = jobyard.over(f"/runs/{hosted.start()['id']}")
    assert (jobyard.log_of(run), run["digest"]) == ("one\n", has()["digest"])

    remove(run["digest"])
    api("PATCH", path, {"schedule": EVERY_MINUTE})
    jobyard.wait_for("it is due", lambda: hosted.runs()[0]["trigger"]["type"] == "schedule")
    run = jobyard.over(f"/runs/{hosted.runs()[0]['id']}")
    api("PATCH", path, {"schedule": {**EVERY_MINUTE, "active": False}})
    assert (run["status"], jobyard.log_of(run)) == ("succeeded", "one\n")
    decisions = jobyard.items("/decisions", project="acme", job=hosted.name)
    verdicts = [each["verdict"] for each in reversed(decisions) if each["rule"] == "image_gone"]
    assert verdicts == ["queued", "deployed", "queued", "queued", "deployed"]
