"""What a message says to each kind of receiver, which addresses are taken, and when what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidValue
from app.domain.notification_addresses import (
    Shape,
    checked_address,
    ping_address,
    shape_of,
    split_secret,
    topic_of,
)
from app.domain.notification_texts import Telling, as_json, chat, ntfy, ping, subject, text, webhook
from app.domain.notifications import (
    TOLD_EVERY,
    WORDS,
    Item,
    Kind,
    Rule,
    State,
    due_after,
    rules_of_end,
    standing_after,
    told_by,
)
from app.domain.runs import RunStatus

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FAILED = Item(
    rule="failure",
    state=State.FAILED,
    headline="report failed",
    sentence="Exited with code 3.",
    at=NOW,
    path="/runs/7",
    job="report",
    details="Run report-x, started by hand.",
    run_id=7,
    attempt=1,
    run_name="report-x",
)
LOG = ("Traceback <most recent>", "@everyone ```stop```")


def telling(*items: Item, count: int | None = None, log: tuple[str, ...] = ()) -> Telling:
    return Telling(
        "shop",
        "ops",
        items,
        len(items) if count is None else count,
        "https://ci.example.com",
        "key",
        NOW,
        log,
    )


ONE = telling(FAILED, log=LOG)
MANY = telling(FAILED, replace(FAILED, state=State.RECOVERED, headline="other works again"), FAILED, count=60)


def test_a_subject_says_it_in_a_few_words() -> None:
    assert subject(ONE) == "[shop] report failed"
    assert subject(MANY) == "[shop] 2 failed, 1 recovered, 57 more"
    odd = telling(replace(FAILED, headline="a\r\nBcc: everybody\n" + "x" * 500))
    assert "\n" not in subject(odd)
    assert len(subject(odd)) == 200


def test_a_text_has_what_why_where_and_the_log() -> None:
    assert text(ONE) == (
        "report failed.\nExited with code 3.\nRun report-x, started by hand.\nAt 2026-01-31 12:00:00 UTC.\n"
        "https://ci.example.com/runs/7\n\nThe last lines of its log:\n\n"
        "Traceback <most recent>\n@everyone ```stop```"
    )
    assert text(MANY).startswith(
        "- report failed: Exited with code 3.\n  https://ci.example.com/runs/7\n- other"
    )
    assert text(MANY).endswith("And 57 more: https://ci.example.com/runs")


def test_a_chat_is_not_told_to_call_anybody_by_a_log() -> None:
    said = chat(ONE, Shape.SLACK)["text"]
    assert "Traceback &lt;most recent&gt;" in said
    assert said.count("```") == 2
    called = telling(replace(FAILED, sentence="@here <!channel> & all"))
    assert "@\u200bhere &lt;!channel&gt; &amp; all" in chat(called, Shape.SLACK)["text"]


def test_discord_gets_an_embed_that_mentions_nobody() -> None:
    sent = chat(ONE, Shape.DISCORD)
    assert sent["allowed_mentions"] == {"parse": []}
    (embed,) = sent["embeds"]
    assert (embed["title"], embed["url"]) == ("[shop] report failed", "https://ci.example.com/runs/7")
    assert embed["description"].endswith("\n```\nTraceback <most recent>\n@everyone '''stop'''\n```")
    long = telling(FAILED, log=("x" * 300,) * 50)
    assert len(chat(long, Shape.DISCORD)["embeds"][0]["description"]) <= 4096
    assert "url" not in chat(MANY, Shape.DISCORD)["embeds"][0]


def test_teams_gets_an_adaptive_card() -> None:
    (attached,) = chat(ONE, Shape.TEAMS)["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attached["content"]
    assert [each["text"] for each in card["body"]][:2] == ["[shop] report failed", "Exited with code 3."]
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open in Jobyard", "url": "https://ci.example.com/runs/7"}
    ]
    assert "actions" not in chat(MANY, Shape.TEAMS)["attachments"][0]["content"]


def test_ntfy_gets_a_message_and_no_file() -> None:
    long = telling(FAILED, log=("é" * 300,) * 15)
    sent = ntfy(long, "backups")
    assert len(sent["message"].encode()) <= 4096
    assert (sent["topic"], sent["title"], sent["priority"]) == ("backups", "[shop] report failed", 4)
    assert sent["click"] == "https://ci.example.com/runs/7"
    assert ntfy(telling(replace(FAILED, state=State.RECOVERED)), "backups")["priority"] == 3


def test_programs_get_every_item() -> None:
    sent = webhook(MANY)
    assert (sent["type"], sent["timestamp"]) == ("jobyard.notification", "2026-01-31T12:00:00Z")
    assert (sent["data"]["count"], len(sent["data"]["items"])) == (60, 3)
    assert as_json({"é": 1}) == b'{"\xc3\xa9":1}'
    assert ping(ONE).startswith("Exited with code 3.\nTraceback")


@given(st.lists(st.text(), max_size=20), st.text(max_size=5000), st.integers(1, 80))
def test_no_message_is_longer_than_its_receiver_takes(log: list[str], sentence: str, number: int) -> None:
    item = replace(FAILED, sentence=sentence)
    sent = telling(*[item] * min(number, 50), count=number, log=tuple(log) if number == 1 else ())
    assert len(chat(sent, Shape.DISCORD)["embeds"][0]["description"]) <= 4096
    assert len(chat(sent, Shape.DISCORD)["embeds"][0]["title"]) <= 256
    assert len(ntfy(sent, "t")["message"].encode()) <= 4096
    assert len(chat(sent, Shape.SLACK)["text"]) <= 40_000 * 5
    as_json(webhook(sent))


def test_an_item_is_stored_and_read_as_it_was() -> None:
    assert Item.from_json(FAILED.to_json()) == FAILED
    assert Item.from_json({**FAILED.to_json(), "of a later version": 1}) == FAILED


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (Kind.EMAIL, "ops@example.com"),
        (Kind.SLACK, "https://hooks.slack.com/services/T/B/x"),
        (Kind.WEBHOOK, "https://example.com/hook"),
        (Kind.WEBHOOK, "https://example.com/hook#whsec_" + "QUJD" * 8),
        (Kind.NTFY, "https://:tk_secret@ntfy.example.com/backups"),
        (Kind.PING, "https://hc-ping.com/uuid"),
    ],
)
def test_addresses_that_are_taken(kind: Kind, address: str) -> None:
    assert checked_address(kind, f" {address} ") == address


REFUSED = {
    Kind.EMAIL: "address must be a mail address such as ops@example.com.",
    Kind.SLACK: (
        "address must be the address of an incoming webhook, such as https://hooks.slack.com/services/…."
    ),
    Kind.WEBHOOK: (
        "address must be an address such as https://example.com/hook or, with a secret,"
        " https://example.com/hook#whsec_…."
    ),
    Kind.NTFY: "address must be the address of a topic, such as https://ntfy.sh/backups.",
    Kind.PING: "address must be the address of a check, such as https://hc-ping.com/UUID.",
}


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (Kind.EMAIL, "https://example.com"),
        (Kind.EMAIL, "ops@example.com\nBcc: all@example.com"),
        (Kind.SLACK, "ops@example.com"),
        (Kind.SLACK, "file:///etc/passwd"),
        (Kind.SLACK, "https://example.com:port/x"),
        (Kind.SLACK, "https://exämple.com/x"),
        (Kind.SLACK, "https://example.com/" + "x" * 2000),
        (Kind.WEBHOOK, "https://example.com/#whsec_short"),
        (Kind.WEBHOOK, "https://example.com/#fragment"),
        (Kind.NTFY, "https://ntfy.sh"),
        (Kind.NTFY, "https://ntfy.sh/a/b"),
        (Kind.PING, "https://hc-ping.com/uuid#x"),
    ],
)
def test_addresses_that_are_refused_with_what_would_be_right(kind: Kind, address: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        checked_address(kind, address)
    assert (refused.value.field, str(refused.value)) == ("address", REFUSED[kind])


def test_a_link_local_address_is_refused() -> None:
    with pytest.raises(
        InvalidValue, match="address is link-local, where clouds keep their machines' credentials"
    ):
        checked_address(Kind.WEBHOOK, "http://169.254.169.254/latest")


def test_a_chat_is_told_by_its_host() -> None:
    shapes = {
        "https://hooks.slack.com/services/T/B/x": Shape.SLACK,
        "https://chat.example.com/hooks/x": Shape.SLACK,
        "https://discord.com/api/webhooks/1/x": Shape.DISCORD,
        "https://discord.com/api/webhooks/1/x/slack": Shape.SLACK,
        "https://ptb.discord.com/api/webhooks/1/x": Shape.DISCORD,
        "https://notdiscord.com/x": Shape.SLACK,
        "https://acme.webhook.office.com/webhookb2/x": Shape.TEAMS,
        "https://prod-1.westeurope.logic.azure.com:443/workflows/x": Shape.TEAMS,
        "https://default1.environment.api.powerplatform.com/x": Shape.TEAMS,
    }
    assert {address: shape_of(address) for address in shapes} == shapes


def test_addresses_are_taken_apart() -> None:
    assert topic_of("https://:tk@ntfy.example.com:8080/backups") == (
        "https://:tk@ntfy.example.com:8080/",
        "backups",
    )
    assert split_secret("https://example.com/x#whsec_y") == ("https://example.com/x", "whsec_y")
    check = "https://hc-ping.com/uuid"
    assert ping_address(check, State.STARTED, "") == f"{check}/start"
    assert ping_address(f"{check}/", State.FAILED, "r") == f"{check}/fail?rid=r"
    assert ping_address(f"{check}?create=1", State.SUCCEEDED, "r") == f"{check}?create=1&rid=r"


def test_the_rule_that_says_most_tells() -> None:
    failed, succeeded, cancelled = RunStatus.FAILED, RunStatus.SUCCEEDED, RunStatus.CANCELLED
    assert rules_of_end(failed, None) == {Rule.END, Rule.FAILURE, Rule.FIRST_FAILURE}
    assert rules_of_end(failed, failed) == {Rule.END, Rule.FAILURE}
    assert rules_of_end(succeeded, failed) == {Rule.END, Rule.RECOVERY}
    assert rules_of_end(cancelled, failed) == {Rule.END}
    assert standing_after(cancelled, failed) is failed
    assert told_by(rules_of_end(failed, None), list(Rule)) is Rule.FIRST_FAILURE
    assert told_by(rules_of_end(failed, None), [Rule.END]) is Rule.END
    assert told_by(rules_of_end(failed, None), [Rule.RECOVERY]) is None


def test_a_target_is_told_seldom_and_after_some_seconds() -> None:
    assert due_after(NOW, None) == NOW + timedelta(seconds=3)
    assert due_after(NOW, NOW - timedelta(seconds=10)) == NOW + timedelta(seconds=10)
    assert due_after(NOW, NOW - timedelta(hours=1)) == NOW + timedelta(seconds=3)
    assert due_after(NOW, NOW + timedelta(days=1)) == NOW + timedelta(seconds=3), "the clock was set back"
    assert timedelta(seconds=20) == TOLD_EVERY


def test_every_rule_has_its_words() -> None:
    assert WORDS == {
        Rule.FAILURE: "each failed run",
        Rule.FIRST_FAILURE: "the first failed run",
        Rule.RECOVERY: "the next run that succeeds",
        Rule.END: "each run that ends",
        Rule.MISSED: "missed schedules",
        Rule.ABSENCE: "no success for some hours",
        Rule.BUILD_FAILURE: "failed builds",
        Rule.DEPLOYMENT: "deployments and promotions",
        Rule.ALARM: "the server's disk and engine",
    }
