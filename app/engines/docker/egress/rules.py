"""Rules of iptables for what may be reached through a bridge, as text for `iptables-restore --noflush`.

Each bridge has three chains: for what is forwarded, for what the machine itself receives, and for what is refused. The
first two come first in `DOCKER-USER`, which Docker leaves to others and keeps through its restarts (`FORWARD` where
there is none), and in `INPUT`; what they don't refuse goes on to whatever rules there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.domain.addresses import REFUSED, Address
from app.domain.egress import PRIVATE, Reach

Version = Literal[4, 6]
PREFIX = "JOBYARD-"
FORWARDING = "DOCKER-USER"
_LONGEST_NAME = 28 - len(PREFIX) - len("-F")  # what iptables takes
# A connection ends at once by a reset: an ICMP message comes while the kernel still sends, and counts a second later.
_REFUSALS: dict[Version, tuple[str, ...]] = {
    4: ("-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT --reject-with icmp-admin-prohibited"),
    6: ("-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT --reject-with icmp6-adm-prohibited"),
}
_NEIGHBOURS = (133, 134, 135, 136)  # ICMPv6 that finds out where an address is, as ARP does for IPv4


@dataclass(frozen=True)
class Fence:
    """A bridge, and what may be reached through it.

    `name` distinguishes its chains from those of others. Containers at an address of `strangers` may reach anything.
    `versions` are those of the Internet Protocol that containers have addresses of.
    """

    bridge: str
    name: str
    reach: frozenset[Reach]
    versions: tuple[Version, ...] = (4,)
    strangers: tuple[Address, ...] = ()

    @property
    def forwarded(self) -> str:
        return f"{PREFIX}{self.name[:_LONGEST_NAME]}-F"

    @property
    def received(self) -> str:
        return f"{PREFIX}{self.name[:_LONGEST_NAME]}-I"

    @property
    def refused(self) -> str:
        return f"{PREFIX}{self.name[:_LONGEST_NAME]}-R"

    @property
    def chains(self) -> tuple[str, ...]:
        return self.forwarded, self.received, self.refused

    def verdict(self, reach: Reach) -> str:
        return f"-j {'RETURN' if reach in self.reach else self.refused}"


def restoring(saved: str, fences: Sequence[Fence], nameservers: Sequence[Address], version: Version) -> str:
    """Return what makes the rules as they should be, all at once, whatever `saved` (by `iptables-save`) has of them."""
    lines = [f":{chain} - [0:0]" for fence in fences for chain in fence.chains]
    lines += _without_jumps(saved, fences)
    for fence in fences:
        lines += [f"-A {fence.forwarded} {rule}" for rule in _forwarding(fence, nameservers, version)]
        lines += [f"-A {fence.received} {rule}" for rule in _receiving(fence, nameservers, version)]
        lines += [f"-A {fence.refused} {rule}" for rule in _REFUSALS[version]]
        lines += [f"-I {_parent(saved)} -i {fence.bridge} -j {fence.forwarded}"]
        lines += [f"-I INPUT -i {fence.bridge} -j {fence.received}"]
    return "\n".join(("*filter", *lines, "COMMIT", ""))


def removing(saved: str, fences: Sequence[Fence]) -> str:
    """Return what takes the rules of the fences away, where `saved` has them."""
    chains = [chain for fence in fences for chain in fence.chains if f":{chain} " in saved]
    emptied = [f"-{what} {chain}" for what in "FX" for chain in chains]
    return "\n".join(("*filter", *_without_jumps(saved, fences), *emptied, "COMMIT", ""))


def ours(saved: str, fences: Sequence[Fence]) -> tuple[str, ...]:
    """Return the rules in `saved` that are of the fences, or jump to them; none where others' come before a jump."""
    chains = {chain for fence in fences for chain in fence.chains}
    rules = [line for line in saved.splitlines() if line.startswith("-A ")]
    for parent in (_parent(saved), "INPUT"):
        jumps = [PREFIX in rule for rule in rules if rule.startswith(f"-A {parent} ")]
        if False in jumps[: sum(jumps)]:
            return ()
    return tuple(rule for rule in rules if chains.intersection(rule.split()))


def are_set(saved: str, fences: Sequence[Fence]) -> bool:
    """Return whether each of the fences stands, before all rules of others."""
    targets = {rule.split()[-1] for rule in ours(saved, fences)}
    return targets.issuperset(chain for fence in fences for chain in (fence.forwarded, fence.received))


def _parent(saved: str) -> str:
    return FORWARDING if f":{FORWARDING} " in saved else "FORWARD"


def _without_jumps(saved: str, fences: Sequence[Fence]) -> list[str]:
    chains = {chain for fence in fences for chain in fence.chains}
    rules = [line.split() for line in saved.splitlines() if line.startswith("-A ")]
    return [" ".join(("-D", *rule[1:])) for rule in rules if rule[-1] in chains and rule[1] not in chains]


def _forwarding(fence: Fence, nameservers: Sequence[Address], version: Version) -> Iterator[str]:
    yield f"-o {fence.bridge} -j RETURN"  # whether jobs reach one another is JOBYARD_NETWORK's
    yield from _exempt(fence, nameservers, version)
    yield f"-m conntrack --ctstate DNAT {fence.verdict(Reach.HOST)}"  # a published port of the machine
    for network in PRIVATE:
        if network.version == version:
            yield f"-d {network} {fence.verdict(Reach.PRIVATE)}"
    yield fence.verdict(Reach.INTERNET)


def _receiving(fence: Fence, nameservers: Sequence[Address], version: Version) -> Iterator[str]:
    if version == 6:
        for number in _NEIGHBOURS:
            yield f"-p ipv6-icmp -m icmp6 --icmpv6-type {number} -j RETURN"
    yield from _exempt(fence, nameservers, version)
    yield fence.verdict(Reach.HOST)


def _exempt(fence: Fence, nameservers: Sequence[Address], version: Version) -> Iterator[str]:
    """Yield what is allowed whatever may be reached, and what never is."""
    yield "-m conntrack --ctdir REPLY -j RETURN"  # to who called the container, as health checks do
    width = 32 if version == 4 else 128
    for address in fence.strangers:
        if address.version == version:
            yield f"-s {address}/{width} -j RETURN"
    for address in nameservers:
        if address.version == version:
            for protocol in ("udp", "tcp"):
                yield f"-d {address}/{width} -p {protocol} -m {protocol} --dport 53 -j RETURN"
    for network in REFUSED:
        if network.version == version:
            yield f"-d {network} -j {fence.refused}"
            # Where the machine leads it elsewhere, as agents of clouds have it do.
            yield f"-m conntrack --ctorigdst {network} -j {fence.refused}"
