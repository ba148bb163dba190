"""`aura fields` on a real run: its table, its pictures, and what it says where there is nothing to draw."""

import json
from pathlib import Path

import numpy as np
import pytest
from bytewax.testing import run_main
from PIL import Image
from typer.testing import CliRunner

from flows.assemble import assemble
from flows.settings import load
from kernels.colour_map import COLOURS
from kernels.errors import AuraError, ConfigError
from service.cli import app
from service.collect import collect
from service.field_picture import draw

SET = ["--set", "field.resolution_m=50", "--set", "field.rate_hz=20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of fields over a hundred agents for three seconds."""
    folder = tmp_path_factory.mktemp("fields")
    values = {"flows": '["fields"]', "sink.directory": str(folder), "simulate.duration": "3s"}
    made = assemble(load("minimal", values | {"field.resolution_m": "50", "field.rate_hz": "20"}).settings)
    run_main(made.flow)
    collect(made, folder, seconds=1.0)
    return folder


def _run(folder: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["fields", "--profile", "minimal", "--out", str(folder), *SET, *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_says_what_there_is(folder: Path) -> None:
    """The number of publications, the cells, and the slice with the greatest value."""
    said = json.loads(_run(folder, "--json"))
    assert said["publications"] in (3, 4)
    assert (said["cells"], said["layer"]) == ([20, 20, 2], "pheromone")
    assert said["greatest"] > said["mean"] > 0
    assert said["time"].startswith("2026-01-01 00:00:0")


@pytest.mark.parametrize("layer", ["pheromone", "gradient", "potential", "information"])
def test_draws_a_slice(folder: Path, tmp_path: Path, layer: str) -> None:
    """Every layer as a PNG in which the greatest value has the lightest colour and empty cells the darkest."""
    png = tmp_path / "slice.png"
    _run(folder, "--layer", layer, "--png", str(png))
    with Image.open(png) as picture:
        seen = {tuple(pixel) for row in np.asarray(picture.convert("RGB")).tolist() for pixel in row}
    assert {tuple(COLOURS[0].tolist()), tuple(COLOURS[-1].tolist())} <= seen


def test_moves(folder: Path, tmp_path: Path) -> None:
    """All publications as one animation."""
    gif = tmp_path / "slice.gif"
    said = json.loads(_run(folder, "--gif", str(gif), "--json"))
    with Image.open(gif) as moving:
        assert moving.n_frames == said["publications"]  # type: ignore[attr-defined]


def test_north_is_up() -> None:
    """The last row of a slice, which lies furthest north, is drawn at the top."""
    slice_ = np.zeros((4, 3), np.float32)
    slice_[3, 0] = 1.0
    picture = draw(slice_, high=1.0, caption="", unit="")
    assert picture.getpixel((20, 40)) == tuple(COLOURS[-1].tolist())
    assert picture.getpixel((20, picture.height - 20)) == tuple(COLOURS[0].tolist())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--layer", "smell"], ConfigError, "allowed are pheromone"),
        (["--z", "2"], ConfigError, "allowed are 0 to 1"),
        (["--at", "99"], ConfigError, "publications"),
        (["--set", "field.resolution_m=100"], AuraError, "more cells than the profile's field"),
    ],
)
def test_mistakes_are_named(folder: Path, options: list[str], error: type[Exception], message: str) -> None:
    """One clear error each."""
    with pytest.raises(error, match=message):
        _run(folder, *options)


def test_no_results(tmp_path: Path) -> None:
    """Says what to run first."""
    with pytest.raises(AuraError, match="aura run --flows fields"):
        _run(tmp_path)
