"""Passwords are hashed one at a time, behind everything else, and with the parameters of today."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from app.commands.passwords import HASHER, NICENESS, Places, hash_password
from tests.support.desk import QUICK
from tests.support.project import ROOT
from tests.support.waiting import eventually

PASSWORD = "a password of some length"
HASHES = """
import re
from pathlib import Path
from app.commands.passwords import hash_password

def resident():
    return re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]

hash_password("first")
before = resident()
for number in range(24):
    hash_password(str(number))
print(before, resident())
"""


@dataclass
class Watched:
    """Hashes nothing, but says how many hashed at once and how nice their threads were."""

    may_end: threading.Event = field(default_factory=threading.Event)
    inside: int = 0
    most: int = 0
    done: int = 0
    niceness: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hash(self, *_: str) -> str:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert self.may_end.wait(30)
        with self.lock:
            self.inside, self.done = self.inside - 1, self.done + 1
        return "hash"

    def verify(self, *_: str) -> bool:
        return bool(self.hash())


def test_one_is_hashed_at_a_time_whoever_asks() -> None:
    hasher: Any = Watched()
    known, strangers = Places(4, 4, hasher), Places(4, 4, hasher)
    with ThreadPoolExecutor(10) as crowd:
        asked = [crowd.submit(places.verify, PASSWORD, "hash") for places in (known, strangers) * 4]
        asked += [crowd.submit(hash_password, PASSWORD, hasher) for _ in range(2)]
        eventually(lambda: known._places._value == strangers._places._value == 0 and hasher.inside > 0)
        hasher.may_end.set()
        assert all(each.result(30) for each in asked)
    assert (hasher.most, hasher.done) == (1, 10)


def test_hashing_comes_after_all_other_work() -> None:
    hasher: Any = Watched()
    hasher.may_end.set()
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert Places(1, 1, hasher).verify(PASSWORD, "hash")
    assert hasher.niceness == {max(before, NICENESS)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_hash_is_made_as_owasp_recommends() -> None:
    made = extract_parameters(hash_password(PASSWORD))
    assert (made.type, made.memory_cost, made.time_cost, made.parallelism) == (Type.ID, 47104, 1, 1)


def test_what_hashing_takes_is_given_back() -> None:
    """Each hash has a thread of its own, and so possibly a heap of its own."""
    done = subprocess.run(
        [sys.executable, "-c", HASHES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after - before < 24 * 1024  # KiB, of which one hash takes 46 * 1024


@pytest.mark.parametrize("hasher", [HASHER, QUICK, PasswordHasher(1, 64, 4)])
def test_a_hash_is_verified_with_its_own_parameters(hasher: PasswordHasher) -> None:
    places, hashed = Places(1, 1), hasher.hash(PASSWORD)
    assert places.verify(PASSWORD, hashed)
    assert not places.verify(PASSWORD[1:], hashed)
    renewed = places.renewed(PASSWORD, hashed)
    assert (renewed is None) == (hasher is HASHER)
    assert renewed is None or (places.verify(PASSWORD, renewed) and places.renewed(PASSWORD, renewed) is None)
