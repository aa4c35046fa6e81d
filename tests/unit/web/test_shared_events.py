"""An event for many readers is encoded once for all who call it the same."""

from __future__ import annotations

from app.web.live import SharedEvent


def test_it_has_its_name_id_and_lines() -> None:
    shared = SharedEvent("one\ntwo", name="lines", id_="7:2")
    assert shared.encode() == b"event: lines\nid: 7:2\ndata: one\ndata: two\n\n"
    assert shared.called("a:lines").encode() == b"event: a:lines\nid: 7:2\ndata: one\ndata: two\n\n"


def test_readers_who_call_it_the_same_get_the_same_bytes() -> None:
    shared = SharedEvent("one", name="lines", id_="7:2")
    assert shared.called("a:lines").encode() is shared.called("a:lines").encode()
    assert shared.called("b:lines").encode() != shared.called("a:lines").encode()
