"""Server-rendered pages: one module each, over templates in `app/web/templates`."""

from __future__ import annotations

from functools import cache

from starlette.routing import Route

from app.web.pages import (
    app_deploys,
    app_settings,
    apps,
    at_forges,
    audit,
    backups,
    build_list,
    build_services,
    builds,
    calendar,
    credentials,
    decision_list,
    deliveries,
    deploys,
    dry_runs,
    flow_settings,
    flows,
    github_apps,
    guide,
    job_settings,
    jobs,
    live,
    login,
    manual_builds,
    new_job,
    notifications,
    overview,
    pipeline_settings,
    pipelines,
    projects,
    promotions,
    provider_login,
    prune,
    publicity,
    run_form,
    run_list,
    runs,
    schedule,
    secret_groups,
    settings,
    streams,
    users,
)
from app.web.pages.context import page_error

__all__ = ["page_error", "page_routes"]


@cache
def page_routes() -> tuple[Route, ...]:
    modules = (
        overview,
        projects,
        build_services,
        secret_groups,
        credentials,
        github_apps,
        notifications,
        pipelines,
        pipeline_settings,
        promotions,
        flows,
        flow_settings,
        apps,
        app_settings,
        app_deploys,
        jobs,
        job_settings,
        manual_builds,
        new_job,
        deploys,
        schedule,
        calendar,
        run_form,
        run_list,
        runs,
        build_list,
        builds,
        decision_list,
        deliveries,
        dry_runs,
        live,
        streams,
        settings,
        users,
        audit,
        prune,
        backups,
        publicity,
        at_forges,
        guide,
        login,
        provider_login,
    )
    return tuple(route for module in modules for route in module.routes())
