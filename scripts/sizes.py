"""Prints how long the files and functions below the named folders are: median, 90th percentile, longest."""

import ast
import sys
from pathlib import Path
from statistics import median


def function_lengths(source: str) -> dict[str, int]:
    """Lines of every function, decorators left out, nested functions counted by themselves as well."""
    return {
        f"{node.name}:{node.lineno}": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def summary(kind: str, lengths: dict[str, int]) -> str:
    """One line such as `files: 12, median 80, p90 200, longest 310 (app/x.py)`."""
    if not lengths:
        return f"{kind}: none"
    ordered = sorted(lengths.values())
    p90 = ordered[(len(ordered) - 1) * 9 // 10]
    longest = max(lengths, key=lambda name: lengths[name])
    return f"{kind}: {len(ordered)}, median {median(ordered):g}, p90 {p90}, longest {ordered[-1]} ({longest})"


def main(folders: list[str]) -> None:
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    sources = {str(path): path.read_text() for path in paths}
    written = {name: source for name, source in sources.items() if source.strip()}
    print(summary("files", {name: source.count("\n") for name, source in written.items()}))
    functions = {
        f"{name}:{function}": lines
        for name, source in written.items()
        for function, lines in function_lengths(source).items()
    }
    print(summary("functions", functions))


if __name__ == "__main__":
    main(sys.argv[1:])
