"""Objects of the demo world, drawn from polygons and ellipses at three times their size."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from .textures import Rgb, jitter_colour

Colour = tuple[int, int, int, int]

OVERSAMPLING = 3
DARK: Colour = (30, 28, 30, 255)
GLASS: Colour = (205, 225, 235, 255)
METAL: Colour = (170, 170, 175, 255)
MUZZLE: Colour = (225, 160, 150, 255)
BEAK: Colour = (240, 150, 30, 255)

TWO_TONES: dict[str, tuple[tuple[Rgb, Rgb], ...]] = {
    'boat': (
        ((0.75, 0.15, 0.12), (0.95, 0.95, 0.92)),
        ((0.12, 0.16, 0.38), (0.95, 0.93, 0.80)),
        ((0.93, 0.93, 0.95), (0.85, 0.35, 0.20)),
        ((0.25, 0.14, 0.08), (0.93, 0.85, 0.55)),
    ),
    'train': (
        ((0.10, 0.40, 0.25), (0.95, 0.85, 0.25)),
        ((0.15, 0.25, 0.62), (0.90, 0.90, 0.92)),
        ((0.78, 0.40, 0.12), (0.20, 0.20, 0.22)),
        ((0.60, 0.10, 0.18), (0.92, 0.90, 0.80)),
    ),
    'aeroplane': (
        ((0.94, 0.94, 0.96), (0.82, 0.14, 0.14)),
        ((0.95, 0.95, 0.90), (0.10, 0.18, 0.60)),
        ((0.84, 0.18, 0.20), (0.95, 0.95, 0.95)),
        ((0.98, 0.84, 0.28), (0.14, 0.14, 0.20)),
    ),
    'car': (
        ((0.82, 0.10, 0.12), (0.70, 0.85, 0.95)),
        ((0.92, 0.78, 0.15), (0.60, 0.75, 0.85)),
        ((0.15, 0.30, 0.75), (0.75, 0.88, 0.95)),
        ((0.10, 0.10, 0.12), (0.65, 0.75, 0.82)),
        ((0.55, 0.20, 0.60), (0.70, 0.80, 0.90)),
    ),
    'cow': (
        ((0.96, 0.95, 0.92), (0.08, 0.07, 0.07)),
        ((0.96, 0.95, 0.92), (0.45, 0.24, 0.10)),
        ((0.90, 0.80, 0.64), (0.30, 0.15, 0.08)),
    ),
    'bird': (
        ((0.95, 0.78, 0.12), (0.62, 0.42, 0.05)),
        ((0.85, 0.18, 0.14), (0.45, 0.06, 0.08)),
        ((0.22, 0.42, 0.90), (0.10, 0.18, 0.52)),
        ((0.90, 0.45, 0.70), (0.60, 0.20, 0.42)),
    ),
}
"""Object -> its (body, trim) colours."""

TILT = {'aeroplane': 35.0}
"""Largest rotation in degrees where it is not 10."""


class Canvas:
    """A transparent square with coordinates from -1 (left, top) to 1 (right, bottom).

    It has the colours ``body`` and ``trim`` of the object ``name``.
    """

    def __init__(self, rng: np.random.Generator, name: str, pixels: int) -> None:
        self.rng = rng
        self.pixels = pixels
        self.image = Image.new('RGBA', (pixels, pixels), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        tones = TWO_TONES[name][rng.integers(len(TWO_TONES[name]))]
        self.body, self.trim = (self._rgba(tone) for tone in tones)

    def _rgba(self, tone: Rgb) -> Colour:
        red, green, blue = (int(255 * value) for value in jitter_colour(self.rng, tone, 0.05))
        return red, green, blue, 255

    def _scale(self, values: Sequence[float]) -> list[float]:
        return [(value + 1) / 2 * self.pixels for value in values]

    def wobble(self, amount: float = 0.06) -> float:
        """A small random shift."""
        return self.rng.uniform(-amount, amount)

    def polygon(self, *points: tuple[float, float], fill: Colour) -> None:
        """Fill the polygon through ``points`` (x, y)."""
        self._draw.polygon([tuple(self._scale(point)) for point in points], fill=fill)

    def rectangle(self, *box: float, fill: Colour, radius: float = 0.0) -> None:
        """Fill the box (left, top, right, bottom), corners rounded by ``radius`` of the side."""
        self._draw.rounded_rectangle(self._scale(box), radius=radius * self.pixels, fill=fill)

    def ellipse(self, *box: float, fill: Colour) -> None:
        """Fill the ellipse inscribed in the box (left, top, right, bottom)."""
        self._draw.ellipse(self._scale(box), fill=fill)


def _boat(c: Canvas) -> None:
    deck = 0.25 + c.wobble()
    hull = (0.62 + c.wobble(), 0.78), (-0.58 + c.wobble(), 0.78)
    c.polygon((-0.95, deck), (0.95, deck), *hull, fill=c.body)
    c.rectangle(-0.05, -0.9, 0.03, deck, fill=DARK)
    c.polygon((0.06, -0.88), (0.06, deck - 0.08), (0.78 + c.wobble(), deck - 0.08), fill=c.trim)
    c.polygon((-0.08, -0.65), (-0.08, deck - 0.08), (-0.62 + c.wobble(), deck - 0.08), fill=c.trim)


def _train(c: Canvas) -> None:
    top, bottom = -0.42 + c.wobble(), 0.42 + c.wobble()
    c.rectangle(-0.97, top, 0.97, bottom, fill=c.body, radius=0.08)
    c.rectangle(-0.97, 0.14, 0.97, 0.26, fill=c.trim)
    for x in np.linspace(-0.78, 0.78, c.rng.integers(4, 6)):
        c.rectangle(x - 0.12, top + 0.14, x + 0.12, top + 0.42, fill=GLASS)
    for x in (-0.7, -0.4, 0.4, 0.7):
        c.ellipse(x - 0.12, bottom - 0.06, x + 0.12, bottom + 0.2, fill=DARK)


def _aeroplane(c: Canvas) -> None:
    c.polygon((-0.20, 0), (0.38, 0), (-0.20 + c.wobble(), 0.90), (-0.48, 0.90), fill=c.trim)
    c.polygon((-0.14, 0), (0.36, 0), (-0.12 + c.wobble(), -0.86), (-0.40, -0.86), fill=c.trim)
    c.ellipse(-0.97, -0.22, 0.97, 0.24, fill=c.body)
    c.polygon((-0.92, 0.06), (-0.55, 0), (-0.76, -0.58), (-0.99, -0.58), fill=c.trim)
    for x in (-0.45, -0.2, 0.05, 0.3, 0.5):
        c.ellipse(x - 0.06, -0.07, x + 0.06, 0.05, fill=DARK)


def _car(c: Canvas) -> None:
    roof = (-0.38 + c.wobble(), -0.45), (0.28 + c.wobble(), -0.45)
    c.polygon((-0.62, 0.02), *roof, (0.60, 0.02), fill=c.body)
    c.polygon((-0.48, 0), (-0.31, -0.35), (-0.06, -0.35), (-0.06, 0), fill=c.trim)
    c.polygon((0.02, 0), (0.02, -0.35), (0.22, -0.35), (0.42, 0), fill=c.trim)
    c.rectangle(-0.96, -0.03, 0.96, 0.40, fill=c.body, radius=0.07)
    for x in (-0.55, 0.55):
        c.ellipse(x - 0.24, 0.18, x + 0.24, 0.66, fill=DARK)
        c.ellipse(x - 0.1, 0.32, x + 0.1, 0.52, fill=METAL)


def _cow(c: Canvas) -> None:
    for x in (-0.62, -0.42, 0.28, 0.50):
        c.rectangle(x - 0.075, 0.2, x + 0.075, 0.84 + c.wobble(0.03), fill=c.body)
    c.rectangle(-0.75, -0.36, 0.62, 0.36, fill=c.body, radius=0.13)
    c.ellipse(0.50, -0.66, 0.96, -0.12, fill=c.body)
    c.ellipse(0.74, -0.36, 0.98, -0.12, fill=MUZZLE)
    c.polygon((0.52, -0.55), (0.45, -0.80), (0.62, -0.62), fill=DARK)
    c.polygon((0.80, -0.62), (0.92, -0.80), (0.92, -0.55), fill=DARK)
    for _ in range(6):
        x, y = c.rng.uniform(-0.62, 0.5), c.rng.uniform(-0.25, 0.25)
        width = c.rng.uniform(0.10, 0.20)
        c.ellipse(x - width, y - 0.8 * width, x + width, y + 0.8 * width, fill=c.trim)


def _bird(c: Canvas) -> None:
    c.polygon((-0.5, 0.05), (-0.98, 0.25 + c.wobble()), (-0.92, 0.48), (-0.4, 0.3), fill=c.trim)
    c.ellipse(-0.62, -0.28, 0.52, 0.52, fill=c.body)
    c.ellipse(0.22, -0.66, 0.76, -0.12, fill=c.body)
    c.polygon((0.66, -0.54), (0.99, -0.36), (0.66, -0.20), fill=BEAK)
    c.ellipse(0.50, -0.50, 0.60, -0.40, fill=DARK)
    wing_tip = (-0.15 + c.wobble(), 0.38)
    c.polygon((-0.45, -0.08), (0.20, -0.05), wing_tip, (-0.60, 0.34), fill=c.trim)
    c.rectangle(-0.12, 0.48, -0.06, 0.80, fill=DARK)
    c.rectangle(0.08, 0.46, 0.14, 0.78, fill=DARK)


DRAWERS: dict[str, Callable[[Canvas], None]] = dict(
    boat=_boat, train=_train, aeroplane=_aeroplane, car=_car, cow=_cow, bird=_bird
)


def draw_object(rng: np.random.Generator, name: str, side: int) -> np.ndarray:
    """Draw one of ``OBJECTS`` with random colours, proportions, direction and rotation.

    float32 (side, side, 4) RGBA in [0, 1], transparent around the object.
    """
    canvas = Canvas(rng, name, OVERSAMPLING * side)
    DRAWERS[name](canvas)
    image = canvas.image
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    limit = TILT.get(name, 10.0)
    image = image.rotate(rng.uniform(-limit, limit), Image.Resampling.BICUBIC)
    image = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 255
