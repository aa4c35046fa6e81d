"""A plan for people, on a terminal."""

from builders.plan import BuildPlan


def describe(plan: BuildPlan) -> str:
    """Return a few aligned lines, ending in a newline: what was decided, then why, then what to look at."""
    rows = {
        "runtime": " ".join(part for part in (plan.runtime, plan.version) if part),
        "root directory": plan.root_directory if plan.root_directory != "." else None,
        "Dockerfile": plan.dockerfile_path,
        "target": plan.target,
        "package manager": plan.package_manager,
        "install": plan.install_command,
        "build": plan.build_command,
        "run": plan.run_command,
    }
    lines = [f"{name:<16} {value}" for name, value in rows.items() if value]
    lines += [f"{f'process {name}':<16} {command}" for name, command in plan.processes.items()]
    lines += ["", "Why:", *(f"  {reason}" for reason in plan.reasons)]
    if plan.warnings:
        lines += ["", "Worth a look:", *(f"  {warning}" for warning in plan.warnings)]
    return "\n".join(lines) + "\n"
