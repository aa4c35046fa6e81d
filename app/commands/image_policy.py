"""What a build asks the engine for, looked at before it begins; what is known of it already, where it is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.commands.image_ownership import require_usable
from app.domain.addresses import Address, is_refused, readable
from app.domain.egress import Egress, reach_of
from app.domain.errors import InvalidValue
from app.domain.hosts import PUBLIC_REGISTRY, host_and_port, registry_host
from app.domain.references import Means, Ours, meaning_of, own_names_in
from app.store.database import Tx
from builders.backends.base import SCOPING, BuildFailed, BuildRequest
from builders.references import Unclear, foreign_frontend, plain, privileged_steps, references, web_hosts

Resolve = Callable[[str, int], list[str]]
Reader = Callable[[str, Mapping[str, str]], frozenset[str]]


def require_usable_images(tx: Tx, ours: Ours, project_id: int, request: BuildRequest) -> None:
    """Raises BuildFailed for a build that asks for an image of another project, or could hide that it does."""
    text, arguments = request.dockerfile_text or "", request.build_args
    for name in sorted(SCOPING & {*arguments, *request.secrets}):
        raise BuildFailed(f"The build variable {name} is Jobyard's own: take it out of the job's variables.")
    frontend = foreign_frontend(text, arguments)
    if frontend is not None:
        raise BuildFailed(f"The Dockerfile's syntax {_must_be_docker(frontend)}.")
    for option in sorted(privileged_steps(text)):
        raise BuildFailed(
            f"The Dockerfile has a step with {option}: no step of a build gets the network of the machine, or may do"
            " more than any other, so take the option out."
        )
    try:
        for reference in sorted({*_references(request), *own_names_in(plain(text))}):
            meaning = meaning_of(reference, ours)
            # BuildKit takes a part of an id for a name, and it may be that of a stage.
            if meaning is None or meaning.means is not Means.PART_OF_ID:
                require_usable(tx, ours, project_id, reference, "The Dockerfile's image")
    except InvalidValue as error:
        raise BuildFailed(str(error)) from error


def require_usable_arguments(
    tx: Tx, ours: Ours, project_id: int, arguments: Mapping[str, str | None], field: str
) -> None:
    """Raises InvalidValue for a variable that no build of the project could have; those without a value are secret.

    What a Dockerfile makes of the others is only known when it is built.
    """
    for name, value in arguments.items():
        at = f"{field}.{name}"
        if name in SCOPING:
            raise InvalidValue(
                at, f"{at} is a build variable of Jobyard's own: leave it out, or let its scope be run."
            )
        frontend = foreign_frontend("", {name: value or ""})
        if frontend is not None:
            raise InvalidValue(at, f"{at} {_must_be_docker(frontend)}.")
        require_usable_names(tx, ours, project_id, value or "", at)


def require_usable_names(tx: Tx, ours: Ours, project_id: int, text: str, field: str) -> None:
    """Raises InvalidValue for a text of a Dockerfile that names an image of another project."""
    for reference in sorted(own_names_in(plain(text))):
        require_usable(tx, ours, project_id, reference, field)


def _must_be_docker(frontend: str) -> str:
    return (
        f"must be docker/dockerfile, such as docker/dockerfile:1, not {frontend}:"
        " another frontend could do what no Dockerfile can"
    )


def require_reachable_hosts(request: BuildRequest, resolve: Resolve, egress: Egress) -> None:
    """Raises BuildFailed for a base image, or a file to add, at an address where no server is, and for a file to add
    that is where builds may not reach: the engine fetches it, from its own machine.
    """
    adding = _web_hosts(request)
    hosts = {registry_host(reference) for reference in _references(request)} | adding
    for host in sorted(hosts - {PUBLIC_REGISTRY}):
        name, port = host_and_port(host)
        for address in _addresses(resolve, name, port or 443):
            if is_refused(address):
                raise BuildFailed(
                    f"The Dockerfile asks for something at {host}, which is at the link-local address {address},"
                    " where clouds keep their machines' credentials: use the server's real address."
                )
            reach = reach_of(address, egress.is_own)
            if host in adding and reach not in egress.reach:
                raise BuildFailed(
                    f"The Dockerfile adds something from {host}, which is at {address}: that counts as {reach}, and"
                    f" builds may reach {egress} (JOBYARD_EGRESS)."
                )
            if host not in adding and egress.leaves_out(address, host):
                raise BuildFailed(
                    f"The Dockerfile's base image is of {host}, which is at {address}: that counts as {reach}, which is"
                    f" none of {egress} (JOBYARD_EGRESS)."
                )


def _web_hosts(request: BuildRequest) -> frozenset[str]:
    def refused(unclear: str) -> str:
        return (
            f"The Dockerfile adds something from {unclear!r}, whose host Jobyard can't know before the build: write"
            " the host out."
        )

    return _read(web_hosts, request, refused)


def _references(request: BuildRequest) -> frozenset[str]:
    def refused(unclear: str) -> str:
        return (
            f"The Dockerfile's FROM has {unclear!r}, which Jobyard can't fill in before the build: write the"
            " image with plain variables such as ${VERSION}."
        )

    return _read(references, request, refused)


def _read(reader: Reader, request: BuildRequest, refused: Callable[[str], str]) -> frozenset[str]:
    """Return what the reader finds in the Dockerfile. Raises BuildFailed for what it can't know."""
    try:
        return reader(request.dockerfile_text or "", request.build_args)
    except Unclear as error:
        raise BuildFailed(refused(str(error))) from error


def _addresses(resolve: Resolve, name: str, port: int) -> list[Address]:
    """None for a name without any: the engine will say so."""
    try:
        return [address for each in resolve(name, port) if (address := readable(each))]
    except (OSError, UnicodeError):
        return []
