"""What is drawn: many agents as a density that counts each of them once, and a field as what it is seen from above."""

import numpy as np
import pyarrow as pa
from test_app import BOX
from views import events

from dashboard.frames import decode
from dashboard.pictures import Pictures
from dashboard.view import View


def test_density() -> None:
    """Above 200,000 agents there is a density in place of points; it has every agent, where it is."""
    view, count = View(), 200_001
    x_m = np.arange(count) % 100
    view.take_events(events(range(1, count + 1), [1] * count, x_m), {})
    header, columns = decode(Pictures(view, BOX).agents())
    assert header["kind"] == "density"
    nx, ny = header["shape"]
    counts = columns["count"].reshape(ny, nx)
    expected = np.zeros((ny, nx), np.int64)
    size = header["cell_m"]
    np.add.at(
        expected,
        (np.minimum((2 * x_m / size).astype(int), ny - 1), np.minimum((x_m / size).astype(int), nx - 1)),
        1,
    )
    assert counts.sum() == count
    assert (counts == expected).all()


def test_field_from_above() -> None:
    """A layer of the field is its mean over the height; what has no value stays empty."""
    view = View()
    cells = [(0, 0, 0, 1.0), (0, 0, 1, 3.0), (1, 0, 0, 5.0), (1, 1, 0, float("nan"))]
    cx, cy, cz, values = zip(*cells, strict=True)
    rows = {
        "time_us": [7] * 4,
        "cx": cx,
        "cy": cy,
        "cz": cz,
        "pheromone": values,
        "about": ["a"] * 4,
        "revision": [0] * 4,
    }
    view.take_tables({"fields": pa.table(rows)})
    frame = Pictures(view, BOX, (10.0, 10.0)).field("pheromone")
    assert frame is not None
    header, columns = decode(frame)
    assert header["shape"] == [2, 2]
    np.testing.assert_array_equal(columns["value"], np.array([2, 5, np.nan, np.nan], np.float32))
    assert Pictures(View(), BOX).field("pheromone") is None
