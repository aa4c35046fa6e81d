"""Where a registry may be, and what is said of one that gives no image."""

from __future__ import annotations

import pytest

from app.domain.egress import Egress, Reach
from app.engines.base import ImageUnavailable
from app.engines.docker.registries import require_reachable, what_is_wrong


def test_a_name_that_means_a_link_local_address_is_refused() -> None:
    asked: list[tuple[str, int]] = []

    def addresses_of(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["192.0.2.1", "fe80::1%eth0"]

    with pytest.raises(ImageUnavailable, match="link-local address fe80::1%eth0"):
        require_reachable("metadata.example.com:5000/a/b:1", Egress(), addresses_of)
    require_reachable("busybox:1", Egress(), addresses_of)
    assert asked == [("metadata.example.com", 5000)]


def test_other_addresses_and_names_without_any_are_the_engines_to_judge() -> None:
    def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError

    require_reachable("registry.example.com/a:1", Egress(), lambda _host, _port: ["127.0.0.1", "10.0.0.1"])
    require_reachable("registry.example.com/a:1", Egress(), nowhere)


@pytest.mark.parametrize(
    ("address", "said"), [("127.0.0.1", "host"), ("10.0.0.1", "private"), ("::1", "host")]
)
def test_where_the_setting_leaves_out_no_registry_is_asked(address: str, said: str) -> None:
    internet = frozenset({Reach.INTERNET})
    egress = Egress(internet, asked=internet, registry="registry.example.com:5000")

    def there(_host: str, _port: int) -> list[str]:
        return [address]

    with pytest.raises(ImageUnavailable, match=f"at {address}, which counts as {said}") as refused:
        require_reachable("registry.example.com/a:1", egress, there)
    assert not refused.value.is_missing
    require_reachable("registry.example.com/a:1", egress, lambda _host, _port: ["192.0.2.1"])
    require_reachable("registry.example.com:5000/a:1", egress, there)  # the administrator's own


@pytest.mark.parametrize(
    ("explanation", "said"),
    [
        ("Get https://x/v2/: dial tcp 127.0.0.1:1: connect: connection refused", "refuses the connection"),
        (
            'error parsing HTTP 404 response body: invalid character: "BODY"',
            "answers, but not as a registry does",
        ),
        ("BODY", "does not answer"),
    ],
)
def test_an_answer_is_told_by_its_kind(explanation: str, said: str) -> None:
    assert what_is_wrong(explanation) == said
