"""What is sent, how often it is tried, and that nobody waits for anybody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.commands.notification_targets import change_target, draft_of, try_target
from app.domain.errors import Conflict
from app.domain.mail import MailRefused, MailUnavailable
from app.domain.notifications import DELAYS, KEPT, MOST_ITEMS, Item, NotTaken, State
from app.store import notification_targets, notifications
from app.store.notification_targets import Target
from app.workers.notifying import MAIL, SENDING_TAKES_AT_MOST
from tests.support.installation import Installation
from tests.support.telling import HOOK, SLACK, Told

CHANNEL = "https://discord.com/api/webhooks/1/secret"


def happens(told: Told, target: Target, number: int = 1, job_id: int | None = None) -> None:
    """Something is to be told."""
    place = told.place
    for count in range(number):
        at = place.clock.now()
        item = Item(
            "failure", State.FAILED, f"job-{count} failed", "Exited with code 1.", at, "/runs/7", "job"
        )
        with place.db.write() as tx:
            if job_id is None:
                notifications.gather(tx, target.id, item, at)
            else:
                notifications.add(tx, target.id, item, at, due_at=at, job_id=job_id)


def test_what_happens_at_once_is_one_message(told: Told) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops, 3)
    told.send()
    assert told.posts == [], "others may come within seconds"
    told.tell()
    (body,) = told.bodies()
    assert body["text"].startswith("*[reports] 3 failed*\n- job-0 failed: Exited with code 1.\n")
    assert body["text"].count("https://ci.example.com/runs/7") == 3
    happens(told, ops, MOST_ITEMS + 30)
    told.tell(10)
    assert len(told.posts) == 1, "a target is told every 20 s at most"
    told.tell(60)
    assert len(told.posts) == 2
    text = told.bodies()[1]["text"]
    assert text.startswith("*[reports] 50 failed, 30 more*")
    assert text.endswith("And 60 more: https://ci.example.com/runs")


def test_what_is_being_sent_is_not_added_to(told: Told) -> None:
    """Its id is the same for every try, and so is what it says."""
    ops = told.target("ops", "failure")
    happens(told, ops)
    told.faults.append(NotTaken("The address answered with status 500."))
    told.tell()
    happens(told, ops)
    assert [len(each.items) for each in told.deliveries(ops)] == [1, 1]


def test_a_message_that_is_not_taken_is_tried_again_and_given_up(told: Told) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops)
    waits = []
    told.faults += [NotTaken("The address answered with status 503.")] * (len(DELAYS) + 1)
    told.tell()
    while (stored := told.deliveries(ops)[0]).due_at is not None:
        assert (stored.status, stored.said) == ("waiting", "The address answered with status 503.")
        waits.append(round((stored.due_at - told.place.clock.now()).total_seconds()))
        told.tell(waits[-1] + 1)
    assert waits == [10, 60, 300, 1800, 7200]
    assert (stored.status, stored.tries) == ("failed", 6)
    assert told.posts == []


def test_a_receiver_may_wish_for_a_longer_wait_within_a_bound(told: Told) -> None:
    ops = told.target("ops", "failure")
    for wish, expected in ((90, 90), (1, 10), (999_999, 7200)):
        happens(told, ops)
        told.faults.append(NotTaken("The address answered with status 429.", timedelta(seconds=wish)))
        told.tell(61)
        due = told.deliveries(ops)[-1].due_at
        assert due is not None
        assert round((due - told.place.clock.now()).total_seconds()) == expected
        told.tell(expected + 1)


def test_a_refusal_is_final(told: Told) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops)
    told.faults.append(
        Conflict("The address refused the message with status 404: look at the target's address.")
    )
    told.tell()
    (stored,) = told.deliveries(ops)
    assert (stored.status, stored.tries, stored.due_at) == ("failed", 1, None)
    assert told.place.db.counts.totals("notification")["failed", "slack"] > 0
    assert stored.said == "The address refused the message with status 404: look at the target's address."


def test_a_fault_of_ours_is_told_and_tried_again(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops)
    told.faults.append(ZeroDivisionError())
    told.tell()
    (stored,) = told.deliveries(ops)
    assert stored.said == "Jobyard failed while sending this; the server's log has more."
    assert stored.status == "waiting"
    assert "could not be sent" in caplog.text
    assert "hooks.slack.com" not in caplog.text


def test_a_server_that_dies_while_sending_sends_it_once_more_under_the_same_id(told: Told) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops)
    told.faults.append(KeyboardInterrupt())  # type: ignore[arg-type]  # as if it were killed
    with pytest.raises(KeyboardInterrupt):
        told.tell()
    told.tell(60)
    assert told.posts == [], "somebody may still be at it"
    told.tell(SENDING_TAKES_AT_MOST.total_seconds())
    ((_, _, headers),) = told.posts
    (stored,) = told.deliveries(ops)
    assert (stored.status, stored.tries) == ("sent", 2)
    assert headers["Idempotency-Key"] == f"jobyard-{stored.created_at:%Y%m%dT%H%M%S.%f}-{stored.id}"


def test_who_was_too_slow_changes_nothing(told: Told) -> None:
    """Another server has taken the message over meanwhile."""
    ops, place = told.target("ops", "failure"), told.place
    happens(told, ops)
    told.place.clock.advance(4)
    (number,) = [each.id for each in told.deliveries(ops)]
    with place.db.write() as tx:
        now = place.clock.now()
        slow = notifications.claim(tx, number, now, now + SENDING_TAKES_AT_MOST)
    assert slow is not None
    told.tell(SENDING_TAKES_AT_MOST.total_seconds() + 1)
    with place.db.write() as tx:
        assert not notifications.conclude(tx, slow, "late", kind="slack", due_at=place.clock.now())
    assert told.deliveries(ops)[0].said == "The address took it with status 200."


def test_a_target_that_hangs_holds_up_no_other(told: Told) -> None:
    ops, dev = told.target("ops", "failure"), told.target("dev", "failure", address=CHANNEL)
    mail = told.target("mail", "failure", kind="email", address="ops@example.com")
    told.pool.busy |= {ops.id, MAIL}
    for target in (ops, dev, mail):
        happens(told, target)
    told.tell()
    assert [url for url, *_ in told.posts] == [CHANNEL]
    told.pool.busy.clear()
    told.send()
    assert [url for url, *_ in told.posts] == [CHANNEL, SLACK]
    assert len(told.mails) == 1


def test_a_mail_has_the_same_id_for_every_try(told: Told) -> None:
    told.target("mail", "failure", kind="email", address="ops@example.com")
    (target,) = [told.target("more", "failure", kind="email", address="more@example.com")]
    happens(told, target)
    told.faults.append(MailUnavailable("The mail server did not answer in 10 s."))
    told.tell()
    told.tell(11)
    (mail,) = told.mails
    (stored,) = told.deliveries(target)
    assert (mail.to, mail.subject) == ("more@example.com", "[reports] job-0 failed")
    assert mail.key == f"jobyard-{stored.created_at:%Y%m%dT%H%M%S.%f}-{stored.id}"
    assert mail.text.splitlines()[:2] == ["job-0 failed.", "Exited with code 1."]
    assert stored.said == "The mail server took it."
    happens(told, target)
    told.faults.append(MailRefused("The mail server does not take mail for more@example.com (status 550)."))
    told.tell(61)
    assert told.deliveries(target)[1].status == "failed"


def test_without_a_mail_server_a_mail_fails_with_the_setting(told: Told) -> None:
    target = told.target("mail", "failure", kind="email", address="ops@example.com")
    object.__setattr__(told.sending, "send_mail", None)
    happens(told, target)
    told.tell()
    (stored,) = told.deliveries(target)
    assert (stored.status, stored.said) == ("failed", "No mail is sent here: JOBYARD_SMTP_URL is not set.")


def test_a_webhook_is_signed_as_standard_webhooks_are(told: Told) -> None:
    defined = told.defined("hook", "failure", kind="webhook", address=HOOK)
    assert defined.signing_secret is not None
    happens(told, defined.target)
    told.tell()
    ((url, body, headers),) = told.posts
    assert url == HOOK
    signed = {**headers, "webhook-timestamp": headers["webhook-timestamp"]}
    key, at = headers["webhook-id"], told.place.clock.now()
    expected = Webhook(defined.signing_secret).sign(
        key, at.fromtimestamp(int(headers["webhook-timestamp"]), at.tzinfo), body.decode()
    )
    assert signed["webhook-signature"] == expected
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(body, dict(headers))
    (told_of,) = told.bodies()
    assert told_of["type"] == "jobyard.notification"
    assert told_of["data"]["items"][0] | {"at": None} == {
        "rule": "failure",
        "state": "failed",
        "headline": "job-0 failed",
        "sentence": "Exited with code 1.",
        "details": "",
        "job": "job",
        "run": None,
        "run_name": None,
        "build": None,
        "at": None,
        "url": "https://ci.example.com/runs/7",
    }


def test_a_secret_that_came_with_the_address_is_used_and_not_shown(told: Told) -> None:
    secret = "whsec_" + "QUJD" * 8
    defined = told.defined("hook", "failure", kind="webhook", address=f"{HOOK}#{secret}")
    assert defined.signing_secret is None
    happens(told, defined.target)
    told.tell()
    ((url, *_),) = told.posts
    assert url == HOOK


def test_a_test_is_sent_at_once_and_by_itself(told: Told) -> None:
    ops, place = told.target("ops", "failure"), told.place
    happens(told, ops, 2)
    with place.db.write() as tx:
        try_target(tx, ops, "ada", place.clock.now())
    told.send()
    (body,) = told.bodies()
    assert body["text"].startswith(
        "*[reports] A test of ops*\nA test of ops.\nNothing happened: ada asked for a test."
    )


def test_a_ping_that_was_overtaken_is_not_sent_any_more(told: Told) -> None:
    """Else a start that is tried again would come after the success."""
    target = told.target("check", kind="ping", address="https://hc-ping.com/uuid")
    happens(told, target, job_id=1)
    told.faults.append(NotTaken("The address did not answer in 10 s."))
    told.send()
    happens(told, target, job_id=1)
    told.send()
    told.tell(11)
    assert len(told.posts) == 1
    assert [(each.status, each.said) for each in told.deliveries(target)] == [
        ("failed", "Not sent any more: a later ping of the same job was made."),
        ("sent", "The address took it with status 200."),
    ]


def test_what_was_sent_to_a_target_is_bounded(told: Told) -> None:
    target = told.target("check", kind="ping", address="https://hc-ping.com/uuid")
    happens(told, target, KEPT + 5, job_id=1)
    with told.place.db.read() as tx:
        kept = notifications.page(tx, target.id, KEPT + 10)
    assert len(kept) == KEPT
    assert kept[-1].id == 6


def test_what_waits_for_a_target_that_is_deleted_goes_with_it(told: Told) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops)
    with told.place.db.write() as tx:
        notification_targets.delete(tx, ops)
    told.tell()
    assert told.posts == []


def test_what_waits_goes_to_the_address_that_a_target_has_by_then(told: Told, place: Installation) -> None:
    ops = told.target("ops", "failure")
    happens(told, ops)
    draft = draft_of(ops)
    with place.db.write() as tx:
        change_target(
            tx,
            place.box,
            place.project,
            ops,
            type(draft)(**{**vars(draft), "address": "https://chat.example.com/x"}),
        )
    told.tell()
    assert [url for url, *_ in told.posts] == ["https://chat.example.com/x"]
