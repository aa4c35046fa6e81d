"""What the server may do in its namespace, asked of the cluster: one review for each permission of its Role."""

from __future__ import annotations

from dataclasses import dataclass

from app.engines.kubernetes.api import Api

REVIEWS = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Permission:
    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {name}"


NEEDED = (
    *(Permission(verb, "jobs", "batch") for verb in ("create", "delete", "get", "list", "patch")),
    *(Permission(verb, "pods") for verb in ("delete", "list", "watch")),
    Permission("get", "pods", subresource="log"),
    *(Permission(verb, "pods", subresource="exec") for verb in ("create", "get")),
    *(Permission(verb, "secrets") for verb in ("create", "get")),
    Permission("list", "events"),
    Permission("get", "namespaces"),
)


def missing(api: Api) -> list[Permission]:
    """Return the permissions that the server lacks. Raises EngineUnavailable."""
    return [each for each in NEEDED if not _is_allowed(api, each)]


def _is_allowed(api: Api, permission: Permission) -> bool:
    asked = {
        "namespace": api.namespace,
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "subresource": permission.subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    return bool(api.ask(REVIEWS, review)["status"]["allowed"])
