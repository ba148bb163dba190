"""Formulas and conditions over columns, as a configuration writes them: parsed once, run on arrays, never `eval`.

    number      12   0.5   1e-3   a column's name
                - + * /  and  x ** n with n from 1 to 16, which is n - 1 multiplications
                abs floor sqrt sin cos (x)   atan2 hypot (x, y)   min max (x, y, ...)   where(condition, x, y)
    condition   < <= == != >= >  between numbers, also chained: 0 < x < 1     isnull(x)     and   or   not
    (...)       as usual; the order of operations is Python's

No value (NaN) makes a number NaN and every comparison false, `!=` too; so `not x > 1` holds where x is NaN. Constants
take the type of the columns beside them: float32 stays float32. Integer columns are compared with integers exactly, and
are float64 in arithmetic. Division by zero gives infinity or NaN. All but sin, cos, atan2 and hypot give the same bits
on every CPU.
"""

import ast
import operator
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.expression_syntax import ExpressionError, fault, parse_tree

__all__ = ["FUNCTIONS", "Expression", "ExpressionError", "Kind"]

_MAX_EXPONENT = 16

Kind = Literal["bool", "number"]
# An array, or the Python number of a constant, which takes the type of the array beside it (NEP 50).
_Values = Any
_Run = Callable[[Mapping[str, NDArray[Any]]], _Values]


@dataclass(frozen=True)
class Expression:
    """A formula over columns.

    Attributes
    ----------
    text
        As it was written.
    kind
        Whether it gives conditions or numbers.
    columns
        The columns that it reads.

    Examples
    --------
    >>> fast = Expression.parse("speed_mps > 20 and level <= 2", ["speed_mps", "level"])
    >>> fast.kind, fast.evaluate({"speed_mps": np.array([10, 30, np.nan], "f4"), "level": np.array([0, 1, 2], "u1")})
    ('bool', array([False,  True, False]))
    """

    text: str
    kind: Kind
    columns: frozenset[str]
    _run: _Run = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, columns: Collection[str]) -> "Expression":
        """Compile `text`, which may name any of `columns`.

        Raises
        ------
        ExpressionError
            It is over 1000 characters, nested too deep, no formula of the grammar above, or names something unknown.
        """
        compiler = _Compiler(text, columns)
        term = compiler.term(parse_tree(text))
        return cls(text, term.kind, frozenset(compiler.used), term.run)

    def evaluate(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the (N,) values over (N,) columns: bool, or float32 or float64 as the columns are.

        A formula that is just a column's name gives that column itself.
        """
        with np.errstate(all="ignore"):
            values = self._run(columns)
        if np.ndim(values):
            return np.asarray(values)
        n = len(next(iter(columns.values())))
        return np.full(n, values, np.bool_ if self.kind == "bool" else np.float64)


class _Term(NamedTuple):
    kind: Kind
    run: _Run
    constant: int | float | None = None


def _real(values: _Values) -> _Values:
    """Return integers as floating-point numbers, which do not wrap around."""
    if isinstance(values, np.ndarray):
        return values if values.dtype.kind == "f" else values.astype(np.float64)
    return float(values)


def _whole(values: _Values) -> bool:
    return values.dtype.kind in "iu" if isinstance(values, np.ndarray) else isinstance(values, int)


def _differ(left: _Values, right: _Values) -> _Values:
    return np.less(left, right) | np.greater(left, right)  # unlike !=, false for NaN


def _compare(compare: Callable[[Any, Any], Any], left: _Values, right: _Values) -> _Values:
    if not (_whole(left) and _whole(right)):
        left, right = _real(left), _real(right)
    return compare(left, right)


_OPERATORS: Mapping[type, Callable[..., _Values]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide,
    ast.USub: np.negative, ast.UAdd: np.positive,
}  # fmt: skip
_COMPARISONS: Mapping[type, Callable[[Any, Any], _Values]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Eq: np.equal, ast.NotEq: _differ,
    ast.GtE: np.greater_equal, ast.Gt: np.greater,
}  # fmt: skip
_UNARY = {"abs": np.abs, "floor": np.floor, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos}
_BINARY = {"atan2": np.arctan2, "hypot": np.hypot}
_MANY = {"min": np.minimum, "max": np.maximum}
_ARITY = dict.fromkeys(_UNARY, 1) | dict.fromkeys(_BINARY, 2) | {"isnull": 1, "where": 3}
FUNCTIONS = (*_ARITY, *_MANY)
"""The names of the functions."""

_ALLOWED = f"allowed: numbers, columns, + - * / **, < <= == != >= >, and or not, ( ), {', '.join(FUNCTIONS)}"


class _Compiler:
    """Turns the nodes of a formula into closures over arrays; what is not listed in `term` is refused."""

    def __init__(self, text: str, columns: Collection[str]) -> None:
        self._text, self._columns = text, columns
        self.used: set[str] = set()

    def term(self, node: ast.expr, kind: Kind | None = None) -> _Term:
        """Return the program of a node, of a given kind if need be."""
        match node:
            case ast.Constant():
                term = self._constant(node)
            case ast.Name():
                term = self._column(node)
            case ast.UnaryOp(op=ast.Not()):
                inner = self.term(node.operand, "bool").run
                term = _Term("bool", lambda columns: np.logical_not(inner(columns)))
            case ast.BinOp(op=ast.Pow()):
                term = self._power(node)
            case ast.UnaryOp(operand=operand):
                term = self._operation(node, node.op, [operand])
            case ast.BinOp(left=left, right=right):
                term = self._operation(node, node.op, [left, right])
            case ast.Compare():
                term = self._comparison(node)
            case ast.BoolOp():
                runs = [self.term(value, "bool").run for value in node.values]
                combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                term = _Term("bool", lambda columns: reduce(combine, (run(columns) for run in runs)))
            case ast.Call(func=ast.Name(id=name)):
                term = self._call(node, name)
            case _:
                raise self._error(node, f"no part of a formula; {_ALLOWED}")
        if kind not in {None, term.kind}:
            raise self._error(
                node, f"expected {'a condition, such as x > 1' if kind == 'bool' else 'a number'}"
            )
        return term

    def _error(self, node: ast.expr, message: str) -> ExpressionError:
        return fault(self._text, node.col_offset, node.end_col_offset or 0, message)

    def _unknown(self, node: ast.expr, what: str, name: str, allowed: Sequence[str]) -> ExpressionError:
        close = "".join(f"; did you mean {match!r}?" for match in get_close_matches(name, allowed, n=1))
        return self._error(node, f"no such {what}{close}; allowed: {', '.join(allowed)}")

    def _numbers(self, nodes: Sequence[ast.expr]) -> list[_Term]:
        return [self.term(node, "number") for node in nodes]

    def _apply(self, node: ast.expr, do: Callable[..., _Values], terms: Sequence[_Term]) -> _Term:
        """Return the number that `do` makes of numbers; of constants now, so that they stay without a type."""
        if all(term.constant is not None for term in terms):
            with np.errstate(all="ignore"):
                return self._fixed(node, float(do(*(_real(term.constant) for term in terms))))
        runs = [term.run for term in terms]
        return _Term("number", lambda columns: do(*(_real(run(columns)) for run in runs)))

    def _fixed(self, node: ast.expr, value: int | float) -> _Term:
        if not abs(value) <= sys.float_info.max:
            raise self._error(node, "not a finite number")
        return _Term("number", lambda _: value, value)

    def _constant(self, node: ast.Constant) -> _Term:
        if type(node.value) not in {int, float}:
            raise self._error(node, "no number")
        return self._fixed(node, node.value)  # type: ignore[arg-type]  # it is one of the two

    def _column(self, node: ast.Name) -> _Term:
        if node.id not in self._columns:
            raise self._unknown(node, "column", node.id, sorted(self._columns))
        self.used.add(node.id)
        return _Term("number", operator.itemgetter(node.id))

    def _operation(self, node: ast.expr, symbol: ast.AST, operands: Sequence[ast.expr]) -> _Term:
        if type(symbol) not in _OPERATORS:
            raise self._error(node, f"no such operator; {_ALLOWED}")
        return self._apply(node, _OPERATORS[type(symbol)], self._numbers(operands))

    def _power(self, node: ast.BinOp) -> _Term:
        exponent = self.term(node.right, "number").constant
        if exponent is None or exponent not in range(1, _MAX_EXPONENT + 1):
            raise self._error(
                node.right, f"an exponent is a whole number from 1 to {_MAX_EXPONENT}; or use / and sqrt"
            )
        times = int(exponent)
        return self._apply(node, lambda base: reduce(np.multiply, [base] * times), self._numbers([node.left]))

    def _comparison(self, node: ast.Compare) -> _Term:
        if any(type(symbol) not in _COMPARISONS for symbol in node.ops):
            raise self._error(node, f"no such comparison; {_ALLOWED}")
        sides = [term.run for term in self._numbers([node.left, *node.comparators])]
        tests = [_COMPARISONS[type(symbol)] for symbol in node.ops]

        def run(columns: Mapping[str, NDArray[Any]]) -> _Values:
            values = [side(columns) for side in sides]
            return reduce(np.logical_and, map(_compare, tests, values, values[1:]))

        return _Term("bool", run)

    def _call(self, node: ast.Call, name: str) -> _Term:
        if name not in FUNCTIONS:
            raise self._unknown(node.func, "function", name, FUNCTIONS)
        got, expected = len(node.args), _ARITY.get(name)
        if node.keywords or (got < 2 if expected is None else got != expected):
            raise self._error(node, f"{name} takes {expected or '2 or more'} in its parentheses, in order")
        if name == "where":
            condition, (yes, no) = self.term(node.args[0], "bool").run, self._numbers(node.args[1:])
            return _Term("number", lambda c: np.where(condition(c), _real(yes.run(c)), _real(no.run(c))))
        terms = self._numbers(node.args)
        if name == "isnull":
            return _Term("bool", lambda columns: np.isnan(_real(terms[0].run(columns))))
        if name in _MANY:
            return self._apply(node, lambda *values: reduce(_MANY[name], values), terms)
        return self._apply(node, (_UNARY | _BINARY)[name], terms)
