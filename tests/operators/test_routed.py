"""A model with two paths: which one scores a row follows from its time, and the one on trial is held against numpy."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kernels.backend import get_backend
from kernels.errors import KernelFailed
from kernels.scorer import Scorer
from operators.decisions import Decision, DecisionLog, Schedule, encode
from operators.routed import Routed, Trial, on_fast_path

ROOT = Path(__file__).parents[2]
BORDER_US = 100
SLICES = 2000


def _log(path: Path, *decisions: Decision) -> DecisionLog:
    path.write_bytes(b"".join(encode(each) + b"\n" for each in decisions))
    return DecisionLog(path, BORDER_US, obeyed=True)


class _Path:
    """The fast path: numpy's scores moved by a little or by much, or none."""

    def __init__(self, safe: Scorer, *, by: float = 0.0, fails: bool = False) -> None:
        self._safe, self.by, self.fails, self.calls = safe, by, fails, 0
        self.model, self._backend = safe.model, SimpleNamespace(provider="fast")

    def score_columns(self, columns: Any) -> Any:
        self.calls += 1
        if self.fails:
            raise KernelFailed("lost")
        return self._safe.score_columns(columns) + np.float32(self.by)


@pytest.fixture(scope="module")
def safe() -> Scorer:
    """The model of events, on numpy."""
    return Scorer.load((ROOT / "models" / "event.onnx").read_bytes(), backend=get_backend("numpy"))


def _rows(scorer: Scorer, count: int = 500) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(count).astype(np.float32) for _ in scorer.features]


@pytest.mark.parametrize("share", [0, 10, 25, 50, 75, 100])
def test_the_share_is_one_of_slices(share: int) -> None:
    """So many slices in a hundred are on the fast path, all rows of a slice together; a larger share has those of a smaller one."""
    time_us = np.arange(SLICES).repeat(3) * BORDER_US + np.tile([0, 50, 99], SLICES)
    fast, whole = on_fast_path(Schedule([Decision(-1000, 1, share)]), time_us, BORDER_US)
    assert fast.mean() == pytest.approx(share / 100, abs=0.03)
    assert whole == (share == 100)
    assert (fast.reshape(-1, 3).all(1) == fast.reshape(-1, 3).any(1)).all()
    less, _ = on_fast_path(Schedule([Decision(-1000, 1, share // 2)]), time_us, BORDER_US)
    assert not (less & ~fast).any()


def test_from_major_on_numpy_scores(safe: Scorer, tmp_path: Path) -> None:
    """At major no row goes to the fast path; before it, all do; batches make no difference."""
    path = _Path(safe, by=1.0)
    log = _log(tmp_path / "d.jsonl", Decision(0, 1), Decision(BORDER_US * 10, 2))
    routed = Routed(path, safe, log, Trial())  # type: ignore[arg-type]
    columns, time_us = _rows(safe), np.arange(500) * 4  # 0 to 20 borders
    exact = safe.score_columns(columns)
    expected = np.where(time_us < BORDER_US * 10, exact + np.float32(1), exact)
    assert np.array_equal(routed.score_timed(columns, time_us), expected)
    pieces = [
        routed.score_timed([c[k : k + 7] for c in columns], time_us[k : k + 7]) for k in range(0, 500, 7)
    ]
    assert np.array_equal(np.concatenate(pieces), expected)


@pytest.mark.parametrize(
    ("by", "fails", "errors"),
    [(0.0, False, 0), (1e-5, False, 0), (0.5, False, 1), (float("nan"), False, 1), (0.0, True, 1)],
)
def test_a_trial(safe: Scorer, tmp_path: Path, by: float, fails: bool, errors: int) -> None:
    """On trial rounding is no error; another score or an exception is one, and a failure leaves numpy's scores."""
    trial = Trial()
    log = _log(tmp_path / "d.jsonl", Decision(-1000, 1, 50))
    routed = Routed(_Path(safe, by=by, fails=fails), safe, log, trial)  # type: ignore[arg-type]
    columns, time_us = _rows(safe), np.arange(500) * 10
    scores = routed.score_timed(columns, time_us)
    assert (trial.calls, trial.errors) == (1, errors)
    if fails:
        assert np.array_equal(scores, safe.score_columns(columns))


def test_without_decisions_there_is_no_trial(safe: Scorer, tmp_path: Path) -> None:
    """A run that has decided nothing scores once, on the fast path."""
    path, trial = _Path(safe), Trial()
    routed = Routed(path, safe, DecisionLog(tmp_path / "none", BORDER_US), trial)  # type: ignore[arg-type]
    routed.score_timed(_rows(safe), np.arange(500))
    assert (path.calls, trial.calls) == (1, 0)
