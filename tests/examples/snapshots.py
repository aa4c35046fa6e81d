"""What the examples should become; `python -m tests.examples.snapshots` writes it anew, for review."""

import json
from pathlib import Path

from builders.detect import make_plan
from builders.plan import PlanError
from builders.render import render_dockerfile
from builders.source import SourceTree

ROOT = Path(__file__).parent
EXAMPLES = sorted(path.parent for path in ROOT.glob("*/app"))


def snapshot(example: Path) -> dict[str, str]:
    """Expected text by file name, from the example's tree as it is."""
    try:
        plan = make_plan(SourceTree(example / "app"))
    except PlanError as error:
        return {"expected.json": _json({"error": type(error).__name__, "sentence": str(error)})}
    return {"expected.json": _json(plan.to_json()), "Dockerfile.expected": render_dockerfile(plan)}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for example in EXAMPLES:
        for name, text in snapshot(example).items():
            (example / name).write_text(text)
