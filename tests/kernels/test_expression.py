"""Expressions against a loop that works one row at a time, and everything that a formula must not be."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.expression import FUNCTIONS, Expression, ExpressionError

NAMES = ("speed_mps", "climb_mps", "energy")
Row = dict[str, np.float64]
Formula = tuple[str, Callable[[Row], Any]]


def _column(name: str) -> Formula:
    return name, lambda row: row[name]


def _constant(value: float) -> Formula:
    return repr(value), lambda _: np.float64(value)


def _infix(symbol: str, do: Callable[[Any, Any], Any]) -> Callable[[Formula, Formula], Formula]:
    return lambda a, b: (f"({a[0]}) {symbol} ({b[0]})", lambda row: do(a[1](row), b[1](row)))


def _call(name: str, do: Callable[..., Any]) -> Callable[..., Formula]:
    return lambda *values: (
        f"{name}({', '.join(text for text, _ in values)})",
        lambda row: do(*(value(row) for _, value in values)),
    )


def _false_for_null(do: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda a, b: not np.isnan(a) and not np.isnan(b) and bool(do(a, b))


def _power(base: Formula, times: int) -> Formula:
    def product(row: Row) -> Any:
        value = result = base[1](row)
        for _ in range(times - 1):
            result = result * value
        return result

    return f"({base[0]}) ** {times}", product


def _least(*values: Any) -> Any:
    return np.nan if any(np.isnan(value) for value in values) else min(values)


_ARITHMETIC = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_UNARY = {"abs": np.abs, "sqrt": np.sqrt, "floor": np.floor}
_TESTS = {
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
    ">=": np.greater_equal,
    ">": np.greater,
}


@st.composite
def numbers(draw: st.DrawFn, depth: int = 3) -> Formula:
    """A formula that gives numbers, and what it means for a row."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(NAMES).map(_column) | st.floats(0, 1e6).map(_constant))
    a, b, c = (draw(numbers(depth - 1)) for _ in range(3))
    made = [_infix(symbol, do)(a, b) for symbol, do in _ARITHMETIC.items()]
    made += [_call(name, do)(a) for name, do in _UNARY.items()]
    made += [_call("min", _least)(a, b, c), (f"-({a[0]})", lambda row: -a[1](row))]
    made.append(_call("where", lambda test, yes, no: yes if test else no)(draw(conditions(depth - 1)), a, b))
    made.append(_power(a, draw(st.integers(1, 16))))
    return draw(st.sampled_from(made))


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> Formula:
    """A formula that holds or does not, and what it means for a row."""
    if depth > 0 and draw(st.booleans()):
        a, b = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        both, either = _infix("and", lambda p, q: p and q)(a, b), _infix("or", lambda p, q: p or q)(a, b)
        return draw(st.sampled_from([both, either, (f"not ({a[0]})", lambda row: not a[1](row))]))
    a, b, c = (draw(numbers(max(depth - 1, 0))) for _ in range(3))
    made = [_infix(symbol, _false_for_null(do))(a, b) for symbol, do in _TESTS.items()]
    made.append(_call("isnull", lambda value: bool(np.isnan(value)))(a))
    made.append((f"({a[0]}) < ({b[0]}) <= ({c[0]})", lambda row: bool(a[1](row) < b[1](row) <= c[1](row))))
    return draw(st.sampled_from(made))


_VALUES = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -0.0])
TABLES = st.lists(st.tuples(*[_VALUES] * len(NAMES)), min_size=1, max_size=8)


def _table(rows: list[tuple[float, ...]]) -> dict[str, NDArray[Any]]:
    return {name: np.array(values) for name, values in zip(NAMES, zip(*rows, strict=True), strict=True)}


def _each(formula: Formula, rows: list[tuple[float, ...]]) -> list[Any]:
    with np.errstate(all="ignore"):
        return [formula[1](dict(zip(NAMES, map(np.float64, row), strict=True))) for row in rows]


def _parse(text: str) -> Expression:
    """Return the expression; one whose constants alone make no finite number is no example."""
    try:
        return Expression.parse(text, NAMES)
    except ExpressionError as error:
        assume("not a finite number" not in error.message and "characters" not in error.message)
        raise


@given(numbers(), TABLES)
def test_numbers_row_by_row(formula: Formula, rows: list[tuple[float, ...]]) -> None:
    """A formula gives each row what working it out for that row alone gives."""
    expression = _parse(formula[0])
    assert expression.kind == "number"
    np.testing.assert_array_equal(expression.evaluate(_table(rows)), np.array(_each(formula, rows), "f8"))


@given(conditions(), TABLES)
def test_conditions_row_by_row(formula: Formula, rows: list[tuple[float, ...]]) -> None:
    """A condition holds for the rows for which it holds one at a time, and no comparison with a null does."""
    expression = _parse(formula[0])
    found = expression.evaluate(_table(rows))
    assert (expression.kind, found.dtype) == ("bool", np.bool_)
    assert found.tolist() == _each(formula, rows)


@given(st.text(alphabet="xy12.()+-*/<>=! ,_\n", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    """Whatever is written, it parses or it is refused with a position in it."""
    position = 1
    try:
        Expression.parse(text, ["x", "y"])
    except ExpressionError as error:
        position = error.position
    assert 1 <= position <= len(text) + 1


_REFUSED = [
    ("", 1, "invalid syntax"),
    ("x >", 4, "invalid syntax"),
    ("x = 1", 3, "invalid syntax"),
    ("(x", 1, "was never closed"),
    ("1) + (2", 2, "unmatched"),
    (
        "  x + spede_mps",
        7,
        "no such column; did you mean 'speed_mps'?; allowed: climb_mps, energy, speed_mps, x",
    ),
    ("sqr(x)", 1, "no such function; did you mean 'sqrt'?; allowed: abs, floor"),
    ("sin(x, 1)", 1, "sin takes 1 in its parentheses"),
    ("min(x)", 1, "min takes 2 or more"),
    ("abs(x=1)", 1, "abs takes 1"),
    ("min(x, *x)", 8, "no part of a formula"),
    ("x and 1", 1, "expected a condition"),
    ("(x > 1) + 2", 2, "expected a number"),
    ("not x", 5, "expected a condition"),
    ("x ** 0.5", 6, "a whole number from 1 to 16"),
    ("x ** x", 6, "a whole number from 1 to 16"),
    ("x ** -1", 6, "a whole number from 1 to 16"),
    ("x // 2", 1, "no such operator"),
    ("x in x", 1, "no such comparison"),
    ("x if x else 1", 1, "no part of a formula"),
    ("x.dtype", 1, "no part of a formula"),
    ("x[0]", 2, "no part of a formula"),
    ("x, x", 1, "no part of a formula"),
    ("'x'", 1, "no part of a formula"),
    ("lambda: 1", 7, "no part of a formula"),
    ("(x := 1)", 4, "no part of a formula"),
    ("__import__('os')", 12, "no part of a formula"),
    ("__import__(x)", 1, "no such function"),
    ("x.min(1, 2)", 1, "no part of a formula"),
    ("x > é", 5, "no part of a formula"),
    ("x\0", 2, "no part of a formula"),
    ("True", 1, "no number"),
    ("1j", 1, "no number"),
    ("1e999", 1, "not a finite number"),
    ("9" * 400, 1, "not a finite number"),
    ("x + 1 / 0", 5, "not a finite number"),
    ("x+" * 400 + "x", 1, "nested deeper than 100"),
    ("-" * 999 + "1", 1, "nested deeper than 100"),
    ("(" * 500 + "1" + ")" * 499, 201, "too many nested parentheses"),
    ("x" * 1001, 1001, "1001 characters, at most 1000"),
]


@pytest.mark.parametrize(("text", "position", "message"), _REFUSED, ids=lambda value: str(value)[:20])
def test_refused(text: str, position: int, message: str) -> None:
    """What is no formula is refused with where it goes wrong, what is wrong, and what is allowed."""
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text, ["x", *NAMES])
    assert message in caught.value.message
    assert caught.value.position == position


def test_error_is_one_of_the_configuration() -> None:
    """A fault in a formula is an error of the configuration, and goes from one process to another."""
    with pytest.raises(ConfigError) as caught:
        Expression.parse("nothing", [])
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_float32_stays_float32() -> None:
    """Constants take the type of the columns beside them, whatever was worked out from constants before."""
    x = np.array([0.1, 2.5], "f4")
    for text in (
        "x * 9.80665",
        "x ** 2 / 2 + 9.80665 * 2 / 3",
        "min(x, 1, 2.5)",
        "where(x > 1, x, 5)",
        "hypot(x, 1)",
    ):
        assert Expression.parse(text, ["x"]).evaluate({"x": x}).dtype == np.float32
    assert Expression.parse("x == 0.1", ["x"]).evaluate({"x": x}).tolist() == [True, False]


def test_integers_do_not_wrap() -> None:
    """Integer columns are numbers in arithmetic: below zero and over their type's end."""
    columns = {"level": np.array([0, 6], "u1"), "seq": np.array([0, 2**32 - 1], "u4")}
    assert Expression.parse("level - 10", columns).evaluate(columns).tolist() == [-10.0, -4.0]
    assert Expression.parse("seq * 2 + level", columns).evaluate(columns).tolist() == [0.0, 2.0**33 + 4]
    assert Expression.parse("level > 300", columns).evaluate(columns).tolist() == [False, False]
    assert Expression.parse("level >= -1", columns).evaluate(columns).tolist() == [True, True]


def test_ids_are_compared_exactly() -> None:
    """Integers of 64 bits are compared with integers bit by bit, of either sign."""
    columns = {"a": np.array([2**64 - 1, 2**64 - 2, 1], "u8"), "t": np.array([-1, 2**62, 1], "i8")}
    assert Expression.parse(f"a == {2**64 - 1}", columns).evaluate(columns).tolist() == [True, False, False]
    assert Expression.parse(f"a != {2**64 - 1}", columns).evaluate(columns).tolist() == [False, True, True]
    assert Expression.parse("a > t", columns).evaluate(columns).tolist() == [True, True, False]
    assert Expression.parse(f"t < {10**25}", columns).evaluate(columns).all()


def test_constants_alone() -> None:
    """A formula without columns gives its value for every row."""
    columns = {"x": np.zeros(3)}
    assert Expression.parse("2 ** 10 - 24", columns).evaluate(columns).tolist() == [1000.0] * 3
    assert Expression.parse("1 < 2 and not 2 < 1", columns).evaluate(columns).tolist() == [True] * 3
    assert Expression.parse("where(1 < 2, 3, 4)", columns).evaluate(columns).tolist() == [3.0] * 3


def test_every_function() -> None:
    """Each function is numpy's of that meaning."""
    columns = {"x": np.array([0.25, 4.0]), "y": np.array([2.0, 3.0])}
    x, y = columns.values()
    expected = {
        "abs": np.abs(x), "floor": np.floor(x), "sqrt": np.sqrt(x), "sin": np.sin(x), "cos": np.cos(x),
        "atan2": np.arctan2(x, y), "hypot": np.hypot(x, y), "min": np.minimum(x, y), "max": np.maximum(x, y),
        "isnull": [False, False], "where": [2.0, 4.0],
    }  # fmt: skip
    calls = {"where": "where(x > 1, x, y)"} | {n: f"{n}(x, y)" for n in ("atan2", "hypot", "min", "max")}
    assert expected.keys() == set(FUNCTIONS)
    for name, values in expected.items():
        found = Expression.parse(calls.get(name, f"{name}(x)"), columns).evaluate(columns)
        np.testing.assert_array_equal(found, values)


def test_columns_and_layout() -> None:
    """An expression knows the columns that it reads, and may be written over several lines."""
    expression = Expression.parse("\n  x > 1\n  and (y < 2 or\n\tx == 3)\n", ["x", "y", "z"])
    assert expression.columns == {"x", "y"}
    assert Expression.parse("x", ["x"]).evaluate({"x": np.empty(0, "f4")}).tolist() == []
