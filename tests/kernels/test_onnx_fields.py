import numpy as np
import pytest

from kernels.backend import get_backend
from kernels.deposits import gather
from kernels.diffusion import Diffusion
from kernels.fields import LAYERS, FieldConfig, Fields
from kernels.lattice import BOUNDARIES, Boundary, Lattice
from kernels.potential import Screening

TOLERANCE = {"pheromone": 2e-6, "gradient": 5e-6, "potential": 2e-6, "information": 5e-6}
"""Greatest difference by the greatest value; the potential's while both take the same number of sweeps."""


@pytest.mark.parametrize("edges", [(10.0, 10.0, 10.0), (10.0, 20.0, 30.0)])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_both_forms_agree(boundary: Boundary, edges: tuple[float, float, float]) -> None:
    """Fifty steps of all layers agree within the stated tolerances, whatever the border."""
    lattice = Lattice((0.0, 0.0, 0.0), edges, (20, 15, 10), boundary)
    config = FieldConfig(Diffusion(lattice, 1 / 60, 500.0, 0.1), Screening(lattice, 20.0))
    forms = [Fields(config, get_backend(name).field) for name in ("numpy", "onnx-cpu")]
    rng = np.random.default_rng(5)
    upper = np.multiply(lattice.shape, edges)[:, None]
    for _ in range(50):
        here = (rng.random((3, 300)) * upper).astype(np.float32)
        level = np.minimum(rng.geometric(0.7, 300) - 1, 6).astype(np.uint8)
        left = gather(lattice, *here, level=level, step=np.zeros(300, np.int64), steps=1)
        for fields in forms:
            fields.step(left)
        assert abs(forms[0].relaxed.sweeps - forms[1].relaxed.sweeps) <= 1
    for name in LAYERS:
        one, other = (fields.layer(name) for fields in forms)
        allowed = 2 * config.screening.tolerance if name == "potential" else TOLERANCE[name]
        assert abs(one - other).max() <= allowed * abs(one).max(), name


def test_sessions_are_made_once() -> None:
    """A second step builds no graph anew."""
    lattice = Lattice((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (4, 4, 4))
    form = get_backend("onnx-cpu").field
    fields = Fields(FieldConfig(Diffusion(lattice, 0.1, 1.0, 0.0), Screening(lattice, 2.0)), form)
    left = gather(
        lattice,
        *[np.ones(1, np.float32)] * 3,
        level=np.zeros(1, np.uint8),
        step=np.zeros(1, np.int64),
        steps=1,
    )
    fields.step(left)
    made = len(form._sessions)  # type: ignore[attr-defined]
    fields.step(left)
    assert len(form._sessions) == made  # type: ignore[attr-defined]
