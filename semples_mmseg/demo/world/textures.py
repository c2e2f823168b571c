"""Background textures of the demo world."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from .vocabulary import SIZE

Array = np.ndarray
Rgb = tuple[float, float, float]

ROWS, COLS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def smooth_noise(rng: np.random.Generator, rows: int, cols: int | None = None) -> Array:
    """Uniform noise on a coarse grid, resized bicubically to float32 (64, 64), about [0, 1]."""
    grid = rng.random((rows, cols or rows), dtype=np.float32)
    if grid.shape == (SIZE, SIZE):
        return grid
    return np.asarray(Image.fromarray(grid).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def jitter_colour(rng: np.random.Generator, base: Rgb, amount: float = 0.06) -> Array:
    """A random colour near ``base``, float32 (3,) in [0, 1].

    The channels vary by 0.5, brightness by 0.7 of ``amount``.
    """
    hue = rng.normal(0, 0.5 * amount, 3)
    brightness = rng.normal(0, 0.7 * amount)
    return np.clip(np.asarray(base) + hue + brightness, 0, 1).astype(np.float32)


def _mix(weight: Array, first: Array, second: Array | float) -> Array:
    """``first`` where ``weight`` (64, 64) is 1, ``second`` where it is 0."""
    weight = weight[..., None].astype(np.float32)
    return first * weight + second * (1 - weight)


def _grey(values: Array) -> Array:
    return values[..., None]


def _stripes(rng: np.random.Generator, axis: Array, period: tuple[float, float]) -> Array:
    """Offset of every pixel within its stripe, and the period of the stripes, in pixels."""
    length = rng.uniform(*period)
    return np.stack([(axis + rng.uniform(0, length)) % length, np.full_like(axis, length)])


def water(rng: np.random.Generator) -> Array:
    """Blue with bright wavy crests."""
    phase = 6 * smooth_noise(rng, 6)
    wave = 0.5 + 0.5 * np.sin(rng.uniform(0.35, 0.6) * ROWS + phase + 0.05 * COLS)
    return jitter_colour(rng, (0.12, 0.35, 0.55)) + 0.22 * _grey(wave**3)


def railway(rng: np.random.Generator) -> Array:
    """Gravel, dark sleepers across and bright rails along."""
    gravel = jitter_colour(rng, (0.38, 0.33, 0.30)) + _grey(0.25 * smooth_noise(rng, 48) - 0.12)
    offset, period = _stripes(rng, ROWS, (9, 14))
    ground = _mix(offset < 0.38 * period, jitter_colour(rng, (0.24, 0.16, 0.10)), gravel)
    offset, _ = _stripes(rng, COLS, (20, 30))
    return _mix(offset < 2.5, jitter_colour(rng, (0.72, 0.72, 0.75), 0.03), ground)


def sky(rng: np.random.Generator) -> Array:
    """Light blue with soft white clouds."""
    noise = 0.7 * smooth_noise(rng, 5) + 0.3 * smooth_noise(rng, 10)
    clouds = np.clip(4 * (noise - 0.5), 0, 1)
    return _mix(1 - clouds, jitter_colour(rng, (0.45, 0.68, 0.92)), 0.95)


def road(rng: np.random.Generator) -> Array:
    """Grainy grey with broken pale lines."""
    grain = _grey(0.14 * (smooth_noise(rng, SIZE) - 0.5))
    asphalt = jitter_colour(rng, (0.36, 0.36, 0.38)) + grain
    across, _ = _stripes(rng, ROWS, (24, 36))
    along, period = _stripes(rng, COLS, (14, 22))
    line = (across < 3) & (along < 0.6 * period)
    return _mix(line, jitter_colour(rng, (0.92, 0.88, 0.60), 0.05), asphalt)


def grass(rng: np.random.Generator) -> Array:
    """Green with fine upright blades."""
    blades = 0.32 * (smooth_noise(rng, 16, SIZE) - 0.5) + 0.1 * (smooth_noise(rng, 6) - 0.5)
    return jitter_colour(rng, (0.30, 0.58, 0.20)) + _grey(blades)


def tree(rng: np.random.Generator) -> Array:
    """Dark blotchy leaves with brown trunks."""
    light = np.clip(3 * (smooth_noise(rng, 16) - 0.5) + 0.5, 0, 1)
    leaves = _mix(
        light, jitter_colour(rng, (0.20, 0.44, 0.16)), jitter_colour(rng, (0.07, 0.24, 0.10))
    )
    offset, _ = _stripes(rng, COLS + 4 * smooth_noise(rng, 4), (22, 34))
    return _mix(offset < 4.5, jitter_colour(rng, (0.32, 0.21, 0.12), 0.04), leaves)


def sand(rng: np.random.Generator) -> Array:
    """Pale yellow grain."""
    grain = 0.12 * (smooth_noise(rng, 40) - 0.5) + 0.1 * (smooth_noise(rng, 5) - 0.5)
    return jitter_colour(rng, (0.84, 0.72, 0.48)) + _grey(grain)


def snow(rng: np.random.Generator) -> Array:
    """Near white with soft shadows."""
    return jitter_colour(rng, (0.90, 0.92, 0.96), 0.03) - _grey(0.14 * smooth_noise(rng, 7))


def wall(rng: np.random.Generator) -> Array:
    """Red bricks with pale joints."""
    height = rng.uniform(7, 10)
    shifted = COLS + height * (np.floor(ROWS / height) % 2)
    joint = ((ROWS % height) < 1.6) | ((shifted % (2 * height)) < 1.6)
    bricks = jitter_colour(rng, (0.62, 0.28, 0.20)) + _grey(0.1 * (smooth_noise(rng, 30) - 0.5))
    return _mix(joint, jitter_colour(rng, (0.75, 0.70, 0.66), 0.04), bricks)


def rock(rng: np.random.Generator) -> Array:
    """Purplish grey, rough at two scales."""
    rough = 0.6 * smooth_noise(rng, 9) + 0.4 * smooth_noise(rng, 24)
    return jitter_colour(rng, (0.46, 0.42, 0.48)) + _grey(0.5 * (rough - 0.5))


TEXTURES: dict[str, Callable[[np.random.Generator], Array]] = {
    function.__name__: function
    for function in (water, railway, sky, road, grass, tree, sand, snow, wall, rock)
}
"""Background name -> function drawing it, float32 (64, 64, 3) RGB, not yet clipped to [0, 1]."""


def draw_texture(rng: np.random.Generator, name: str) -> Array:
    """Draw the background ``name`` over a whole scene: float32 (64, 64, 3) RGB in [0, 1]."""
    return np.clip(TEXTURES[name](rng), 0, 1).astype(np.float32)
