"""What containers may reach, and one another."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.config.registry import RegistrySettings
from app.domain.egress import Egress, Reach, read_reach
from app.domain.hosts import registry_host
from app.runtime.own_addresses import is_own


def _known_reach(value: str) -> str:
    read_reach(value)
    return value


class NetworkSettings(RegistrySettings):
    network: Literal["shared", "isolated"] = Field(
        default="shared",
        description="isolated keeps jobs' containers from reaching one another; a start takes about 50 ms longer",
    )
    egress: Annotated[str, AfterValidator(_known_reach)] = Field(
        default="internet,private",
        description="what jobs and builds may reach: of internet, private and host, or none; link-local never",
    )
    egress_bridge: Literal["filtered", "open"] = Field(
        default="filtered",
        description="open leaves the engine's default bridge alone, where builds are, and jobs of a shared network",
    )

    @property
    def may_reach(self) -> Egress:
        """What containers may reach. Where that is set, users' images and messages are held to it, too: not by default,
        which would forbid a registry beside the server.
        """
        reach = read_reach(self.egress)
        return Egress(
            reach,
            on_default_bridge=self.egress_bridge == "filtered",
            asked=reach | {Reach.INTERNET} if "egress" in self.model_fields_set else frozenset(Reach),
            registry=registry_host(f"{self.registry}/image") if self.registry else "",
            is_own=is_own,
        )
