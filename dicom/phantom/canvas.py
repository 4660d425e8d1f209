"""The canvas of the phantom: body coordinates on a pixel grid, strokes, polygons, smooth noise.

Body coordinates: `u` runs from the midline to the image's right (the patient's left), `v` from the top
of a square image down, both in units of the image's shorter side at zoom 1; the thorax fills about 0.8
of the unit square.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FloatField = NDArray[np.float32]
BoolField = NDArray[np.bool_]
Points = Sequence[tuple[float, float]] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The position of the body in the image; lengths are fractions of the image's shorter side.

    Attributes:
        zoom: Length of one body unit, about 1.
        shift: Distance of the midline to the right of the image's center.
        drop: Distance by which everything is moved down.
        lean: Sideways shift of the midline per unit downwards.
    """

    zoom: float
    shift: float
    drop: float
    lean: float


@dataclass(frozen=True, slots=True)
class Canvas:
    """A pixel grid with the body coordinates of each pixel.

    Attributes:
        u: float32 [H, W], body units, grows to the image's right.
        v: float32 [H, 1], body units, grows downwards.
        scale: Pixels of the image's shorter side.
    """

    rows: int
    columns: int
    scale: float
    placement: Placement
    u: FloatField
    v: FloatField

    @classmethod
    def over(cls, rows: int, columns: int, placement: Placement) -> Self:
        """Return the canvas of `rows` x `columns`; the body is fitted to the shorter side."""
        scale = float(min(rows, columns))
        # A portrait image has 65 % of its extra height below the square: more abdomen than neck.
        top = 0.35 * (rows - scale)
        y = ((np.arange(rows, dtype=np.float32) + 0.5 - top) / scale)[:, None]
        x = ((np.arange(columns, dtype=np.float32) + 0.5 - columns / 2) / scale)[None, :]
        v = (y - placement.drop) / placement.zoom
        u = (x - placement.shift - placement.lean * (y - 0.5)) / placement.zoom
        return cls(rows, columns, scale, placement, u.astype(np.float32), v.astype(np.float32))

    def pixels(self, length: float) -> float:
        """Return a length in body units as pixels."""
        return length * self.placement.zoom * self.scale

    def project(self, points: Points) -> list[tuple[float, float]]:
        """Return body points (u, v) as pixel positions (x, y)."""
        body = np.asarray(points, dtype=np.float64)
        place = self.placement
        y = place.drop + place.zoom * body[:, 1]
        x = place.shift + place.zoom * body[:, 0] + place.lean * (y - 0.5)
        top = 0.35 * (self.rows - self.scale)
        xy = np.stack([x * self.scale + self.columns / 2, y * self.scale + top], axis=1) - 0.5
        return list(map(tuple, xy.tolist()))

    def coarser(self, factor: int) -> "Canvas":
        """Return a canvas of the same image with `factor` times fewer rows and columns, at least 48."""
        rows, columns = max(self.rows // factor, 48), max(self.columns // factor, 48)
        return Canvas.over(rows, columns, self.placement)

    def locate(self, x: float, y: float) -> tuple[float, float]:
        """Return the body point (u, v) of a pixel position; the inverse of `project`."""
        place = self.placement
        down = (y + 0.5 - 0.35 * (self.rows - self.scale)) / self.scale
        across = (x + 0.5 - self.columns / 2) / self.scale
        u = (across - place.shift - place.lean * (down - 0.5)) / place.zoom
        return (u, (down - place.drop) / place.zoom)

    def layer(self) -> "Layer":
        """Return an empty layer of this canvas' size."""
        return Layer(self)

    def noise(self, rng: np.random.Generator, cells: int) -> FloatField:
        """Return smooth noise, float32 [H, W], mean 0, about unit deviation, `cells` per longer side."""
        longer = max(self.rows, self.columns)
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        if cells >= 2 * longer:
            return resized(coarse, longer, longer)[: self.rows, : self.columns]
        fine = Image.fromarray(coarse).resize((longer, longer), Image.Resampling.BICUBIC)
        return np.asarray(fine, dtype=np.float32)[: self.rows, : self.columns] * 1.35


class Layer:
    """An 8-bit drawing in body coordinates that becomes a smooth field in 0..1.

    Strokes overwrite earlier drawing; a stroke thinner than a pixel is drawn fainter instead.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._image = Image.new("L", (canvas.columns, canvas.rows))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Points, value: float) -> None:
        """Fill the closed polygon of body points with `value` in 0..1."""
        self._draw.polygon(self._canvas.project(points), fill=round(255 * min(value, 1.0)))

    def stroke(self, points: Points, width: float, value: float) -> None:
        """Draw a polyline `width` body units wide with `value` in 0..1."""
        thickness = self._canvas.pixels(width)
        fill = round(255 * min(value * min(thickness, 1.0), 1.0))
        if fill:
            self._draw.line(
                self._canvas.project(points),
                fill=fill,
                width=max(1, round(thickness)),
                joint="curve" if thickness > 4 else None,
            )

    def segments(self, ends: NDArray[np.float64], widths: FloatField, values: FloatField) -> None:
        """Draw many short straight strokes one after another.

        Args:
            ends: float64 [N, 4], u and v of the start, u and v of the end.
            widths: float32 [N], body units.
            values: float32 [N] in 0..1.
        """
        pixels = self._canvas.project(ends.reshape(-1, 2))
        thickness = widths * np.float32(self._canvas.pixels(1.0))
        fills = np.rint(255 * np.minimum(values * np.minimum(thickness, 1), 1)).astype(int).tolist()
        wide = np.maximum(np.rint(thickness), 1).astype(int).tolist()
        draw = self._draw.draw  # Pillow's core: ImageDraw.line would copy the points on each call
        for number, fill in enumerate(fills):
            if fill > 2:
                draw.draw_lines(pixels[2 * number : 2 * number + 2], fill, wide[number])

    def disc(self, center: tuple[float, float], radius: float, value: float) -> None:
        """Fill a circle."""
        self.ellipse(center, (radius, radius), value)

    def ellipse(
        self, center: tuple[float, float], radii: tuple[float, float], value: float
    ) -> None:
        """Fill an ellipse with its axes along u and v."""
        (x, y) = self._canvas.project([center])[0]
        rx, ry = (self._canvas.pixels(radius) for radius in radii)
        self._draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=round(255 * min(value, 1.0)))

    def field(self, blur: float = 0.0) -> FloatField:
        """Return the drawing as float32 [H, W] in 0..1, blurred by `blur` body units.

        At least 0.6 pixel of blur is always applied, which smooths the pixel steps of edges.
        """
        radius = max(0.6, self._canvas.pixels(blur))
        fine = radius < 1.5  # then one box blur is as good as a Gaussian, and three times as fast
        kernel = ImageFilter.BoxBlur(1.2 * radius) if fine else ImageFilter.GaussianBlur(radius)
        soft = self._image.filter(kernel)
        return np.asarray(soft, dtype=np.float32) / np.float32(255)


def resized(field: FloatField, rows: int, columns: int) -> FloatField:
    """Return `field` as float32 [rows, columns]: bicubic if enlarged, box average if reduced."""
    if field.shape == (rows, columns):
        return field
    down = rows < field.shape[0] or columns < field.shape[1]
    method = Image.Resampling.BOX if down else Image.Resampling.BICUBIC
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(image.resize((columns, rows), method), dtype=np.float32)


def edge(distance: FloatField, softness: float) -> FloatField:
    """Return a smooth step of a signed distance: 0 below -`softness`, 1 above `softness`."""
    t = np.clip(distance * np.float32(0.5 / softness) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
