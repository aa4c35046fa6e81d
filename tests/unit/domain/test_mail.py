"""The address of a mail server, and the waits between tries."""

from __future__ import annotations

import pytest

from app.domain.mail import DELAYS, MailServer, next_try, read_mail_server

SUCH = "such as smtps://user:password@mail.example.com:465?from=jobyard@example.com"
FROM = "from=jobyard@example.com"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        (f"smtp://mail.example.com?{FROM}", ("mail.example.com", 587, False, "jobyard@example.com")),
        (f"smtps://mail.example.com?{FROM}", ("mail.example.com", 465, True, "jobyard@example.com")),
        (
            f"smtp://a%40b:c%2Fd@mail.example.com:25/?{FROM}",
            ("mail.example.com", 25, False, "jobyard@example.com", "a@b", "c/d"),
        ),
    ],
)
def test_an_address_is_read(text: str, server: tuple[object, ...]) -> None:
    assert read_mail_server(text) == MailServer(*server)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("mail.example.com", f"must begin with smtp:// or smtps://, {SUCH}"),
        (f"smtp://[?{FROM}", f"has a host or a port that can't be read: it must be an address, {SUCH}"),
        (
            f"smtp://x:y@mail:z?{FROM}",
            f"has a host or a port that can't be read: it must be an address, {SUCH}",
        ),
        (f"smtp://?{FROM}", f"must have a host, and nothing but ?from= after it, {SUCH}"),
        (f"smtp://mail/x?{FROM}", f"must have a host, and nothing but ?from= after it, {SUCH}"),
        ("smtp://mail", f"must end with ?from= and the address that mail is sent from, {SUCH}"),
        ("smtp://mail?from=jobyard", f"must end with ?from= and the address that mail is sent from, {SUCH}"),
        ("smtp://mail?from=a@b%0Ac", f"must end with ?from= and the address that mail is sent from, {SUCH}"),
        (
            f"smtp://mail?{FROM}&tls=no",
            f"must end with ?from= and the address that mail is sent from, {SUCH}",
        ),
        (f"smtp://user@mail?{FROM}", f"must have both a user and a password, or neither, {SUCH}"),
    ],
)
def test_what_is_wrong_with_one_is_told(text: str, rest: str) -> None:
    with pytest.raises(ValueError) as said:
        read_mail_server(text)
    assert str(said.value) == rest


def test_the_waits_grow_and_end() -> None:
    waits = [next_try(tries) for tries in range(1, len(DELAYS) + 2)]
    assert waits == [*sorted(DELAYS), None]
