"""Threads that hold up nobody else."""

from __future__ import annotations

import threading

import pytest

from app.runtime.threads import KeyedThreadPool


class TestCrew:
    def test_a_slow_one_does_not_pile_up_and_holds_up_nobody_else(self) -> None:
        done, slow = threading.Semaphore(0), threading.Event()
        pool = KeyedThreadPool("test", 2, done.release)
        calls: list[str] = []
        assert pool.give("slow", lambda: calls.append(f"slow {slow.wait(20)}"))
        assert not pool.give("slow", lambda: calls.append("again"))
        for number in range(3):
            assert pool.give("quick", lambda number=number: calls.append(f"quick {number}"))
            assert done.acquire(timeout=20)
        slow.set()
        assert done.acquire(timeout=20)
        assert calls == ["quick 0", "quick 1", "quick 2", "slow True"]
        assert pool.give("slow", lambda: calls.append("later"))
        assert done.acquire(timeout=20)

    def test_a_fault_ends_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        done = threading.Semaphore(0)
        pool = KeyedThreadPool("test", 1, done.release)
        for _ in range(2):
            assert pool.give("one", lambda: 1 // 0)
            assert done.acquire(timeout=20)
        assert "met a fault of Jobyard" in caplog.text
