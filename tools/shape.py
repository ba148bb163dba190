"""Print the shape of the code: how long functions and files are, and the worst ten; exit 1 where a limit is broken.

A function's length is its lines of code: signature and body without docstring, comments and blank lines. A file's is
all of its lines.
"""

import ast
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("kernels", "operators", "flows", "dashboard", "service", "models", "infra", "benchmarks", "tools")

# The limits, each with what it is for.
MEDIAN_LINES = 8  # most functions are read at a glance
P90_LINES = 25  # few need a second look
FILE_LINES = 400  # one idea a file
GOAL_LINES = 250  # what a file should stay under
WORST = 10

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Length(NamedTuple):
    """How long the thing at a place is."""

    lines: int
    place: str


def files(root: Path) -> list[Path]:
    """Return the source files, sorted."""
    return sorted(
        path
        for folder in FOLDERS
        for path in (root / folder).rglob("*.py")
        if "node_modules" not in path.parts
    )


def functions(source: str, place: str) -> list[Length]:
    r"""Return the length of each function of a file.

    >>> functions("def f():\n    '''Doc.'''\n\n    # why\n    return 1\n", "x.py")
    [Length(lines=2, place='x.py:1 f')]
    """
    text = source.splitlines()
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]
    return [Length(_code_lines(node, text), f"{place}:{node.lineno} {node.name}") for node in found]


def _code_lines(node: Function, text: list[str]) -> int:
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    skipped = range(first.lineno, (first.end_lineno or first.lineno) + 1) if is_docstring else range(0)
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    code = [text[n - 1].strip() for n in lines if n not in skipped]
    return sum(1 for line in code if line and not line.startswith("#"))


def report(root: Path) -> tuple[list[str], list[str]]:
    """Return the lines to print, and the limits that are broken."""
    sources = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files(root)}
    lengths = sorted(
        (found for place, source in sources.items() for found in functions(source, place)), reverse=True
    )
    sizes = sorted(
        (Length(len(source.splitlines()), place) for place, source in sources.items()), reverse=True
    )
    median, p90 = _spread([found.lines for found in lengths])
    over = sum(size.lines > GOAL_LINES for size in sizes)
    lines = [
        f"{len(lengths)} functions: median {median:g} lines, at most {MEDIAN_LINES}; p90 {p90:g}, at most {P90_LINES}",
        *(f"  {found.lines:4} {found.place}" for found in lengths[:WORST]),
        f"{len(sizes)} files: {over} over {GOAL_LINES} lines, longest {sizes[0].lines}, at most {FILE_LINES}",
        *(f"  {size.lines:4} {size.place}" for size in sizes[:WORST]),
    ]
    return lines, _broken(median, p90, sizes)


def _spread(lengths: list[int]) -> tuple[float, float]:
    return statistics.median(lengths), statistics.quantiles(lengths, n=10, method="inclusive")[8]


def _broken(median: float, p90: float, sizes: list[Length]) -> list[str]:
    broken = [
        f"{size.place} has {size.lines} lines, at most {FILE_LINES}"
        for size in sizes
        if size.lines > FILE_LINES
    ]
    if median > MEDIAN_LINES:
        broken.append(f"the median function has {median:g} lines, at most {MEDIAN_LINES}")
    if p90 > P90_LINES:
        broken.append(f"a tenth of the functions has more than {p90:g} lines, at most {P90_LINES}")
    return broken


def main() -> int:
    """Print the report; return the exit code."""
    lines, broken = report(ROOT)
    print("\n".join(lines))
    for limit in broken:
        print(f"shape: {limit}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
