"""Features of (window, cell) rows beside their statistics."""

import numpy as np

from kernels.cell_features import cell_features


def _results(**columns: list[float]) -> dict[str, np.ndarray]:
    base = {"start_us": [0, 0], "end_us": [60_000_000, 300_000_000], "count": [12, 3], "agents": [2, -1]}
    return {name: np.array(values) for name, values in (base | columns).items()}


def test_by_hand() -> None:
    """The length of the window, reports an agent and standard deviations are what they are by hand."""
    derived = cell_features(_results(speed_mps_var=[9.0, 0.0], energy_var=[2.25, np.nan]))
    assert derived["window_s"].tolist() == [60, 300]
    assert derived["events_per_agent"][0] == 6
    assert derived["speed_mps_std"].tolist() == [3, 0]
    assert derived["energy_std"][0] == 1.5


def test_no_value_stays_no_value() -> None:
    """Where agents were not counted or a variance was not asked for, what follows from it is null."""
    derived = cell_features(_results(energy_var=[np.nan, np.nan]))
    assert np.isnan([derived["agents"][1], derived["events_per_agent"][1], *derived["energy_std"]]).all()


def test_no_rows() -> None:
    """No rows have no features, and each feature is there."""
    derived = cell_features({name: values[:0] for name, values in _results(speed_mps_var=[1.0, 1.0]).items()})
    assert {name: len(values) for name, values in derived.items()} == dict.fromkeys(derived, 0)
    assert list(derived) == ["window_s", "agents", "events_per_agent", "speed_mps_std"]
