"""What builds fetch and push with, and where runs have their image from: loops stepped by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.checkout import Credential
from app.commands.runs import enqueue_run
from app.domain.builds import BuildReason, BuildStatus
from app.domain.decisions import EventType
from app.domain.events import repo_key
from app.domain.job.records import Job, SourceSettings
from app.domain.outages import UNANSWERED_LIMIT
from app.domain.runs import Reason, RunStatus, Trigger, TriggerType
from app.domain.sealing import of_credential
from app.engines.base import ContainerSpec, Handle, RegistryLogin, ResolvedImage
from app.engines.fake import FakeEngine, Fault
from app.store import build_services, crashes, credentials, decisions, jobs, runs
from app.store.identity import reserved_id
from app.workers.build.publisher import Publisher
from builders.backends.base import BuiltImage, Login, PushFailed, StopSignal
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import URL, spec_of

A, B, C = (commit(letter) for letter in "abc")
DIGEST = "sha256:" + "d" * 64


def keep(place: Installation, kind: str, host: str, secret: str = "the secret") -> int:
    with place.db.write() as tx:
        credential_id = reserved_id(tx, "credential")
        made = credentials.create(
            tx,
            place.project.id,
            name=f"{kind}-{host}".replace(".", "-").replace(":", "-"),
            kind=kind,
            host=host,
            username="ada",
            secret=place.box.seal(secret, of_credential(place.project.id, credential_id)),
            now=place.clock.now(),
        )
        return made.id


def image_job(place: Installation, image: str, credential: str | None = None, **changes: object) -> Job:
    source = {"type": "image", "image": image, "credential": credential}
    spec = spec_of("tool", source=source, **changes)
    with place.db.write() as tx:
        return jobs.create(tx, place.project.id, spec, None, place.clock.now())


def start(place: Installation, job: Job) -> None:
    with place.db.write() as tx:
        trigger = Trigger(TriggerType.API, "ada")
        enqueue_run(tx, place.names, jobs.with_id(tx, job.id), trigger, place.clock.now())


def test_a_build_is_fetched_with_the_credential_of_its_source(place: Installation, server: Server) -> None:
    place.job(source__credential_id=keep(place, "git", "github.com"))
    place.push(None, A)
    server.work()
    assert place.repository.credentials == [Credential("the secret", "ada")]
    assert place.builds()[0].status is BuildStatus.SUCCEEDED
    assert b"the secret" not in place.build_log(place.builds()[0])


def test_changed_files_are_asked_for_with_the_credential_too(place: Installation, server: Server) -> None:
    place.job(source__credential_id=keep(place, "git", "github.com"), build__paths=["docs/"])
    place.repository.differing[A, B] = frozenset({"docs/a.md"})
    place.push(A, B, forced=True)
    server.work()
    assert place.repository.credentials == [Credential("the secret", "ada")]
    assert place.builds() == []


def test_a_credential_of_another_host_is_not_sent(place: Installation, server: Server) -> None:
    place.job(source__credential_id=keep(place, "git", "gitlab.com"))
    place.push(None, A)
    server.work()
    (build,) = place.builds()
    assert (build.status, build.reason) == (BuildStatus.FAILED, BuildReason.SOURCE_UNAVAILABLE)
    assert "is for gitlab.com and is not sent to github.com" in build.sentence
    assert place.repository.credentials == []


def test_a_credential_without_a_host_is_sent_nowhere(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(place, monkeypatch)
    keep(place, "registry", "")
    start(place, image_job(place, "images.example.com/a:1", "registry-"))
    place.job(source__credential_id=keep(place, "git", ""))
    place.push(None, A)
    server.work()
    (build,), (run,) = place.builds(), place.runs()
    assert (build.reason, run.reason) == (BuildReason.SOURCE_UNAVAILABLE, Reason.IMAGE_UNAVAILABLE)
    for sentence, name in ((build.sentence, "git-"), (run.sentence, "registry-")):
        assert sentence.startswith(f"Credential {name} has no host, so it is sent nowhere: set ")
    assert (asked, place.repository.credentials) == ([], [])


def resolving(place: Installation, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, RegistryLogin | None]]:
    """What the engine is asked to resolve, with which login."""
    asked: list[tuple[str, RegistryLogin | None]] = []
    resolve: Callable[..., ResolvedImage] = FakeEngine.resolve

    def listen(engine: FakeEngine, reference: str, login: RegistryLogin | None = None) -> ResolvedImage:
        asked.append((reference, login))
        return resolve(engine, reference, login)

    monkeypatch.setattr(FakeEngine, "resolve", listen)
    return asked


@pytest.mark.parametrize(
    ("image", "hosts", "named", "is_sent"),
    [
        ("images.example.com/a:1", ["images.example.com"], None, True),
        ("images.example.com:5000/a:1", ["images.example.com"], None, True),
        ("images.example.com/a:1", ["other.example.com"], None, False),
        ("images.example.com/a:1", [""], None, False),
        ("busybox:1", ["docker.io"], None, True),
        ("busybox:1", ["images.example.com"], None, False),
    ],
)
def test_which_login_an_image_is_resolved_with(
    place: Installation,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    image: str,
    hosts: list[str],
    named: str | None,
    is_sent: bool,
) -> None:
    asked = resolving(place, monkeypatch)
    for host in hosts:
        keep(place, "registry", host)
    started: list[RegistryLogin | None] = []
    start_of: Callable[..., Handle] = FakeEngine.start

    def note(engine: FakeEngine, spec: ContainerSpec, *given: Any, **more: Any) -> Handle:
        started.append(spec.login)
        return start_of(engine, spec, *given, **more)

    monkeypatch.setattr(FakeEngine, "start", note)
    start(place, image_job(place, image, named))
    server.work()
    assert asked == [(image, RegistryLogin("ada", "the secret") if is_sent else None)]
    (run,) = place.runs()
    assert (run.status, run.image) == (RunStatus.SUCCEEDED, f"{image}@{run.digest}")
    assert started == [asked[0][1]], "an engine that pulls as it starts has the same login"


def test_a_registry_that_does_not_answer_is_asked_again(place: Installation, server: Server) -> None:
    start(place, image_job(place, "tool:1"))
    place.engine.fail("resolve", Fault.REFUSED, 3)
    server.work()
    (run,) = place.runs()
    assert (run.status, run.attempts, run.failed) == (RunStatus.SUCCEEDED, 1, 0)


def test_a_registry_that_never_answers_is_given_up_with_a_sentence(
    place: Installation, server: Server
) -> None:
    start(place, image_job(place, "tool:1", retry_limit=5))
    place.engine.fail("resolve", Fault.REFUSED, 100)
    server.work(rounds=400)
    (run,) = place.runs()
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.ENGINE_FAILED, 0)
    assert re.fullmatch(
        r"The engine refused to resolve\. Tried 15 times in 4\d min\. Start the run again once that is over\.",
        run.sentence,
    )


def test_what_is_taken_over_again_and_again_has_no_try_less(place: Installation, server: Server) -> None:
    start(place, image_job(place, "tool:1"))
    with place.db.write() as tx:
        assert runs.claim(tx, "stopped", place.clock.now())
        for _ in range(UNANSWERED_LIMIT):
            crashes.let_go(tx, "stopped")
            assert runs.taken_over(tx, "stopped", set())
        crashes.let_go(tx, "stopped")
    place.engine.fail("resolve", Fault.REFUSED, UNANSWERED_LIMIT - 1)
    server.work(rounds=400)
    (run,) = place.runs()
    assert (run.status, run.attempts) == (RunStatus.SUCCEEDED, 1)


def test_an_image_without_access_is_not_asked_for_again(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(place, monkeypatch)
    start(place, image_job(place, "tool:1", retry_limit=5))
    place.engine.without_image("tool:1")
    server.work()
    (run,) = place.runs()
    assert (run.reason, run.attempts, len(asked)) == (Reason.IMAGE_UNAVAILABLE, 0, 1)
    assert run.sentence == "There is no image tool:1. Push it there again, or use another image."


class Pusher:
    """A registry that takes everything, or says why not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.pushed: list[tuple[str, str, Login | None]] = []

    def push(
        self,
        image: BuiltImage,
        reference: str,
        login: Login | None,
        *,
        on_output: Callable[[bytes], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> str:
        on_output(f"pushing as {login}, {login.password if login else ''}\n".encode())
        if self.error is not None:
            raise self.error
        self.pushed.append((image.digest, reference, login))
        return DIGEST


def pushing(place: Installation, server: Server, error: Exception | None = None) -> Pusher:
    pusher = Pusher(error)
    publisher = Publisher(server.db, place.box, "images.example.com/team", pusher)
    vars(server.builder)["publisher"] = publisher
    return pusher


def test_a_build_may_log_in_where_its_project_may(place: Installation, server: Server) -> None:
    keep(place, "registry", "images.example.com")
    keep(place, "registry", "docker.io", secret="another one")
    keep(place, "registry", "", secret="of no host")
    keep(place, "git", "github.com")
    place.job()
    place.push(None, A)
    server.work()
    (request,) = place.backend.requests
    assert request.logins == {
        "images.example.com": Login("ada", "the secret"),
        "docker.io": Login("ada", "another one"),
    }
    assert "the secret" not in repr(request)


def test_a_built_image_is_pushed_and_held_by_its_digest(place: Installation, server: Server) -> None:
    pusher = pushing(place, server)
    keep(place, "registry", "images.example.com")
    job = place.job()
    place.push(None, A)
    server.work()
    name = "images.example.com/team/reports/report"
    assert pusher.pushed == [(image_of(A), f"{name}:{A}", Login("ada", "the secret"))]
    (build,), (run,) = place.builds(), place.runs()
    assert (build.image, build.digest) == (f"{name}@{DIGEST}", DIGEST)
    assert (run.image, run.digest, run.status) == (build.image, DIGEST, RunStatus.SUCCEEDED)
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.image == build.image
    log = place.build_log(build)
    assert f"Pushing to {name}:{A}".encode() in log
    assert b"the secret" not in log
    assert b"***" in log


def test_a_push_that_fails_fails_the_build(place: Installation, server: Server) -> None:
    pushing(place, server, PushFailed("The image could not be pushed: denied."))
    job = place.job()
    place.push(None, A)
    server.work()
    (build,) = place.builds()
    assert (build.status, build.reason) == (BuildStatus.FAILED, BuildReason.PUSH_FAILED)
    assert build.sentence == "The image could not be pushed: denied."
    assert place.job_now(job).deployed is None
    assert place.runs() == []


def service(place: Installation, **fields: object) -> int:
    settings = SourceSettings(URL, repo_key(URL), "main", **fields)  # type: ignore[arg-type]
    with place.db.write() as tx:
        made = build_services.create(tx, place.project.id, "images", settings, place.clock.now())
        return made.id


def shared_job(place: Installation, name: str, source_id: int) -> Job:
    spec = spec_of(name, source={"type": "build_service", "build_service": "images"})
    with place.db.write() as tx:
        return jobs.create(tx, place.project.id, spec, source_id, place.clock.now())


def test_a_service_builds_once_for_all_its_jobs(place: Installation, server: Server) -> None:
    pusher = pushing(place, server)
    source_id = service(place)
    for name in ("daily", "weekly"):
        shared_job(place, name, source_id)
    guid = place.push(None, A)
    server.work()
    assert place.backend.built == {A: 1}
    assert [reference for _, reference, _ in pusher.pushed] == [f"images.example.com/team/reports/images:{A}"]
    assert sorted((run.job, run.digest) for run in place.runs()) == [("daily", DIGEST), ("weekly", DIGEST)]
    with place.db.read() as tx:
        told = decisions.page(tx, limit=10, event=(EventType.PUSH, guid))
    assert sorted(each.job or "" for each in told) == ["daily", "weekly"]


def test_a_service_and_a_job_of_the_same_key_share_a_build(place: Installation, server: Server) -> None:
    shared_job(place, "daily", service(place))
    place.job("own")
    place.push(None, A)
    server.work()
    assert place.backend.built == {A: 1}
    assert sorted(run.job for run in place.runs()) == ["daily", "own"]
    assert len({run.build_id for run in place.runs()}) == 1


def test_a_service_without_jobs_builds_and_is_decided_about(place: Installation, server: Server) -> None:
    service(place)
    guid = place.push(None, A)
    server.work()
    assert [build.status for build in place.builds()] == [BuildStatus.SUCCEEDED]
    with place.db.read() as tx:
        (told,) = decisions.page(tx, limit=10, event=(EventType.PUSH, guid))
    assert (told.job, told.verdict, told.build_id) == (None, "built", place.builds()[0].id)


def test_only_the_latest_build_of_a_service_is_in_flight(place: Installation, server: Server) -> None:
    job = shared_job(place, "daily", service(place, builds_in_flight="latest"))
    for before, after in ((None, A), (A, B), (B, C)):
        place.push(before, after)
        server.intake.step()
    server.work()
    assert [(build.sha, build.status) for build in place.builds()] == [
        (A, BuildStatus.CANCELLED),
        (B, BuildStatus.CANCELLED),
        (C, BuildStatus.SUCCEEDED),
    ]
    assert [build.reason for build in place.builds()][:2] == [BuildReason.SUPERSEDED] * 2
    assert place.backend.built == {C: 1}
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.sha == C
