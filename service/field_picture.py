"""A slice of the field as a picture: cells as squares, with a scale and a caption."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kernels.colour_map import COLOURS, colours

__all__ = ["draw", "save_gif"]

_EDGE = 640  # pixels that the longer side has at least, if a whole number of pixels a cell allows it
_BAR, _GAP, _MARGIN = 18, 10, 12
_SCALE_WIDTH, _CAPTION_HEIGHT = 96, 34
_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_FRAME_MS = 120
_GIF_STRIDE = 4  # of the map every fourth: looks the same, and the file is half as large
_GREYS = 16  # of the writing, whose edges are smooth


def draw(slice_: NDArray[np.float32], *, high: float, caption: str, unit: str) -> Image.Image:
    """Draw a slice.

    Parameters
    ----------
    slice_
        (ny, nx), y from south to north.
    high
        The value of the lightest colour; 0 is the darkest.
    caption, unit
        What stands above the picture, and above the scale.
    """
    ny, nx = slice_.shape
    pixels = max(1, _EDGE // max(nx, ny))
    cells = Image.fromarray(colours(slice_[::-1], 0.0, high), "RGB")
    cells = cells.resize((nx * pixels, ny * pixels), Image.Resampling.NEAREST)
    size = (cells.width + _SCALE_WIDTH + 2 * _MARGIN, cells.height + _CAPTION_HEIGHT + _MARGIN)
    picture = Image.new("RGB", size, _PAPER)
    picture.paste(cells, (_MARGIN, _CAPTION_HEIGHT))
    pen = ImageDraw.Draw(picture)
    pen.text((_MARGIN, 10), caption, _INK, ImageFont.load_default(14))
    _scale(picture, pen, cells, high=high, unit=unit)
    return picture


def _scale(
    picture: Image.Image, pen: ImageDraw.ImageDraw, cells: Image.Image, *, high: float, unit: str
) -> None:
    """Draw the scale to the right of the cells."""
    left, top, small = _MARGIN + cells.width + _GAP, _CAPTION_HEIGHT, ImageFont.load_default(11)
    bar = Image.fromarray(np.ascontiguousarray(COLOURS[::-1, None]), "RGB")
    picture.paste(bar.resize((_BAR, cells.height)), (left, top))
    for share in (0.0, 0.5, 1.0):
        at = top + (1 - share) * (cells.height - 12)
        pen.text((left + _BAR + 5, at), f"{share * high:.3g}", _INK, small)
    pen.text((left, top - 18), unit, _INK, small)


def save_gif(pictures: list[Image.Image], path: Path) -> None:
    """Write pictures of one size as an animation that goes round."""
    greys = np.linspace(0, 255, _GREYS).astype(np.uint8)[:, None].repeat(3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate((COLOURS[::_GIF_STRIDE], COLOURS[-1:], greys)).tobytes())
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    first.save(path, save_all=True, append_images=others, duration=_FRAME_MS, loop=0, optimize=True)
