"""The HTTP API under `/api/v1`: a file for each kind of thing, declared as operations."""

from functools import cache

from starlette.routing import Route

from app.web.api import (
    apps,
    audit,
    build_services,
    builds,
    commit_statuses,
    configuration,
    credentials,
    decisions,
    deliveries,
    deployments,
    deploys,
    flow_runs,
    flows,
    github_apps,
    jobs,
    log_search,
    logs,
    notification_targets,
    pipelines,
    plan,
    projects,
    promotions,
    prune,
    repository_hooks,
    runs,
    schedules,
    secret_groups,
    tokens,
    users,
)
from app.web.api.badges import badge_routes
from app.web.api.openapi import openapi_route
from app.web.api.operations import Operation
from app.web.api.routing import routes_of

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for module in (
        projects,
        credentials,
        repository_hooks,
        github_apps,
        notification_targets,
        secret_groups,
        build_services,
        jobs,
        schedules,
        deploys,
        builds,
        runs,
        commit_statuses,
        logs,
        log_search,
        deliveries,
        decisions,
        plan,
        apps,
        deployments,
        pipelines,
        promotions,
        flows,
        flow_runs,
        tokens,
        users,
        audit,
        prune,
        configuration,
    )
    for operation in module.OPERATIONS
)


@cache
def api_routes() -> tuple[Route, ...]:
    """All routes of the API, its description included."""
    return (*routes_of(OPERATIONS), *badge_routes(), openapi_route(OPERATIONS))
