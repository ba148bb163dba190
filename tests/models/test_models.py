"""The shipped models: that they are what their cards say, and how they do on what they were not trained on."""

import re
from pathlib import Path

import numpy as np
import pytest

from kernels.cell_features import cell_features
from kernels.grid import Grid
from kernels.motion import MOTION_FEATURES
from kernels.schema import Columns
from kernels.scorer import Scorer
from models.anomalies import AFTERMATH, CLEAN, KINDS, inject, inject_swarms
from models.autoencoder import to_onnx, train
from models.cells import METRICS, cell_table
from models.evaluate import Report, judge_cells, judge_events
from models.features import EVENT
from models.flights import FLIGHTS, event_features, file_sha256, flights_grid, read_flights, trained_until_us

_MODELS = Path(__file__).parents[2] / "models"
_ROLES = ("event", "cell")
# A row of the card's table: kind, rows, AUROC, found, then the simple rule's AUROC and found.
_FIGURE = re.compile(
    r"^\| ([^|`]+) \| (\d+) \| ([\d.]+) \| ([\d.]+)% \| ([\d.]+) \| ([\d.]+)% \|$", re.MULTILINE
)


@pytest.fixture(scope="module")
def flights() -> Columns:
    """All bundled flights."""
    return read_flights()


@pytest.fixture(scope="module")
def reports(flights: Columns) -> dict[str, Report]:
    """The figures of both models, measured now."""
    return {"event": judge_events(_scorer("event"), flights), "cell": judge_cells(_scorer("cell"), flights)}


def _scorer(role: str, backend: str = "onnx-cpu") -> Scorer:
    return Scorer.load((_MODELS / f"{role}.onnx").read_bytes(), backend=backend)


def _card(role: str) -> str:
    return (_MODELS / f"{role}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("role", _ROLES)
def test_the_card_belongs_to_the_file(role: str) -> None:
    """The card has the hash, the role and the threshold of the model, and the hash of the flights that are bundled."""
    scorer, card = _scorer(role), _card(role)
    assert f"| SHA-256 | `{file_sha256(_MODELS / f'{role}.onnx')}` |" in card
    assert f"| role, version | {role}, 1 |" in card
    assert f"| threshold | {scorer.threshold}:" in card
    assert scorer.role == role
    assert file_sha256(FLIGHTS) in card
    assert file_sha256(FLIGHTS) in scorer.model.training


@pytest.mark.parametrize("role", _ROLES)
def test_the_card_tells_the_truth(role: str, reports: dict[str, Report]) -> None:
    """What the card says of each kind of anomaly and of false alerts is what comes out when it is measured again."""
    said = {kind: [float(value) for value in values] for kind, *values in _FIGURE.findall(_card(role))}
    assert said.keys() == {figure.kind for figure in reports[role].figures}
    for kind, rows, auroc, found, simple_auroc, simple_found in reports[role].figures:
        assert said[kind][0] == rows
        # Another CPU may round a score to the other side of a threshold.
        assert [auroc, simple_auroc] == pytest.approx([said[kind][1], said[kind][3]], abs=0.001)
        assert [found * 100, simple_found * 100] == pytest.approx([said[kind][2], said[kind][4]], abs=1)
    false_alerts = re.search(r"any injection ([\d.]+) of 1,000 rows", _card(role))
    assert false_alerts is not None
    assert reports[role].alerts_per_1000 == pytest.approx(float(false_alerts[1]), abs=0.1)


@pytest.mark.parametrize("role", _ROLES)
def test_good_enough(role: str, reports: dict[str, Report]) -> None:
    """On held-out hours every kind has an AUROC above 0.995 and is found at least as often as by the simple rule."""
    assert all(figure.auroc > 0.995 for figure in reports[role].figures)
    assert all(figure.found >= figure.simple_found for figure in reports[role].figures)
    assert reports[role].alerts_per_1000 < 2


@pytest.mark.parametrize("role", _ROLES)
def test_backends_agree_on_flights(role: str, flights: Columns) -> None:
    """Numpy scores the flights as ONNX Runtime does, to 1e-5."""
    names = _scorer(role).features
    rows = (
        event_features(flights, names)
        if role == "event"
        else cell_table(flights, flights_grid()).features(names)
    )
    one, other = (_scorer(role, backend).score(rows[::3]) for backend in ("numpy", "onnx-cpu"))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert ((one >= 0) & (one <= 1)).all()


def test_features_are_there() -> None:
    """The models read what events, results and their derived features have, and nothing else."""
    assert set(_scorer("event").features) <= {"speed_mps", "climb_mps", "z_m", "energy", *MOTION_FEATURES}
    results = {f"{metric}_{what}": np.ones(1) for metric in METRICS for what in ("mean", "var")}
    results |= {name: np.ones(1) for name in ("start_us", "end_us", "count", "agents")}
    assert set(_scorer("cell").features) <= results.keys() | cell_features(results).keys()


def test_reasons_in_words(flights: Columns) -> None:
    """The alert on a teleport names the speeds that gave it away, that on a change of energy the energy."""
    scorer = _scorer("event")
    injected = inject(flights, after_us=trained_until_us(flights), each=20, seed=1)
    rows = event_features(injected.columns, scorer.features)
    worst = {kind: rows[injected.kind == label][scorer.score(rows[injected.kind == label]).argmax()]
             for label, kind in enumerate(KINDS, 1)}  # fmt: skip
    assert re.search(r"speed (across|implied|of).* m/s \(typically", scorer.explain(worst["teleport"]))
    assert "the time at the same position is 60 s (typically 0 ± 1)" in scorer.explain(worst["frozen"])
    assert "climb" in scorer.explain(worst["climb"])
    assert "the change of energy is" in scorer.explain(worst["energy"])


def test_injection_is_seeded_and_labelled(flights: Columns) -> None:
    """The same seed gives the same anomalies, in the held-out hours only; what is not labelled is left alone."""
    after_us = trained_until_us(flights)
    one, other = (inject(flights, after_us=after_us, each=30, seed=5) for _ in range(2))
    touched = np.zeros(len(one.kind), np.bool_)
    for name, values in flights.items():
        assert np.array_equal(one.columns[name], other.columns[name])
        touched |= one.columns[name] != values
    assert np.array_equal(touched, one.kind > CLEAN)
    assert flights["time_us"][one.kind != CLEAN].min() >= after_us
    counts = {label: int((one.kind == label).sum()) for label in (AFTERMATH, 1, 2, 3, 4)}
    assert counts == {AFTERMATH: 120, 1: 30, 2: 180, 3: 30, 4: 30}


def test_swarms_are_where_they_are_said_to_be(flights: Columns) -> None:
    """Each swarm adds its number of aircraft to its cell in its minute, and no event of the flights is changed."""
    after_us, grid = trained_until_us(flights), flights_grid()
    swarms = inject_swarms(flights, grid, after_us=after_us, swarms=20, seed=5)
    before, after = cell_table(flights, grid), cell_table(swarms.columns, grid)
    for start_us, cell, size in zip(swarms.start_us, swarms.cell, swarms.size, strict=True):
        agents = [
            int(table.columns["agents"][(table.start_us == start_us) & (table.cell == cell)][0])
            for table in (before, after)
        ]
        assert agents[1] - agents[0] == size
    assert len(swarms.columns["time_us"]) - len(flights["time_us"]) == 6 * swarms.size.sum()


def test_the_table_of_cells() -> None:
    """The statistics that the model of cells is trained on are those of a loop over events."""
    rng = np.random.default_rng(0)
    grid = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (2, 2, 1))
    columns: Columns = {"agent_id": rng.integers(0, 9, 400).astype(np.uint64)}
    columns["time_us"] = np.sort(rng.integers(0, 400_000_000, 400))
    columns |= {name: rng.uniform(0, 20, 400).astype(np.float32) for name in ("x_m", "y_m", *METRICS)}
    columns["z_m"] = np.zeros(400, np.float32)
    table, cells = cell_table(columns, grid), grid.cells(columns["x_m"], columns["y_m"], columns["z_m"])
    assert len(table.cell) > 50
    for row in range(0, len(table.cell), 7):
        inside = (columns["time_us"] >= table.start_us[row]) & (columns["time_us"] < table.end_us[row])
        inside &= cells == table.cell[row]
        speeds = columns["speed_mps"][inside].astype(np.float64)
        assert table.columns["count"][row] == inside.sum()
        assert table.columns["agents"][row] == len(set(columns["agent_id"][inside].tolist()))
        assert table.columns["speed_mps_mean"][row] == pytest.approx(speeds.mean())
        assert table.columns["speed_mps_std"][row] == pytest.approx(speeds.std(), abs=1e-9)


def test_training_is_deterministic(flights: Columns) -> None:
    """Training twice on the same rows gives the same bytes."""
    rows = event_features(flights, tuple(i.name for i in EVENT))[:5000]
    files = [
        to_onnx(train(rows, EVENT, hidden=(8, 4, 8), epochs=2), EVENT, role="event", training="test")
        for _ in range(2)
    ]
    assert files[0] == files[1]
    assert Scorer.load(files[0]).score(rows).max() > 0.5
