"""The text of a formula as a syntax tree: Python's own parser, behind bounds on what reaches it and what comes out."""

import ast
import re
import warnings

from kernels.errors import ConfigError

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "ExpressionError", "fault", "parse_tree"]

MAX_LENGTH = 1000
MAX_DEPTH = 100  # what works on the tree recurses: far below Python's limit of 1000 frames

_SHOWN = 60
_STRANGE = re.compile(r"[^A-Za-z0-9_.,()<>=!+*/\s-]|[^\x00-\x7f]")


class ExpressionError(ConfigError):
    """A formula that cannot be used; `position` is that of the fault in its text, counted from 1."""

    def __init__(self, message: str, *, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


def fault(text: str, start: int, end: int, message: str) -> ExpressionError:
    """Return the error that `message` is of text[start:end], places counted as in the tree of `parse_tree`."""
    blanks = len(text) - len(text.lstrip())
    place = f"at character {blanks + start + 1}"
    shown = f", {text[blanks + start : blanks + end][:_SHOWN]!r}" if end > start else ""
    return ExpressionError(f"{place}{shown}: {message}", position=blanks + start + 1)


def parse_tree(text: str) -> ast.expr:
    """Return the tree of an expression; its places count from the first character that is not blank.

    Raises
    ------
    ExpressionError
        `text` is over 1000 characters, no expression, nested deeper than 100, or has characters that no formula has.

    >>> ast.dump(parse_tree("  x + 1"))
    "BinOp(left=Name(id='x', ctx=Load()), op=Add(), right=Constant(value=1))"
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters, at most {MAX_LENGTH}", position=MAX_LENGTH + 1)
    line = re.sub(r"\s", " ", text).strip()
    strange = _STRANGE.search(line)
    if strange:
        raise fault(text, *strange.span(), "no part of a formula")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's opinions on what is refused later anyway
            body = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        at = min((error.offset or 0) - 1, len(line))
        raise fault(text, at if at >= 0 else len(line), 0, error.msg) from None
    except (RecursionError, MemoryError):
        raise fault(text, 0, len(line), f"nested deeper than {MAX_DEPTH}") from None
    _check_depth(text, body)
    return body


def _check_depth(text: str, body: ast.expr) -> None:
    level: list[ast.AST] = [body]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise fault(text, body.col_offset, body.end_col_offset or 0, f"nested deeper than {MAX_DEPTH}")
