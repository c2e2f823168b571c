"""Sliding windows over images."""

from collections.abc import Iterator, Sequence

LONGEST_RATIO = 10
"""Images whose sides differ by a larger factor are padded and not enlarged, as 20 x 2000 pixels
become 480 x 48000 otherwise."""


def enlarged_size(size: tuple[int, int], window: Sequence[int]) -> tuple[int, int]:
    """Size of an image after it was enlarged, if necessary, so that a window fits.

    Args:
        size: Height and width of the image.
        window: Height and width of a window.

    Returns:
        ``int(side * window / short side)`` for both sides where the short side is below the
        window, else ``size``; ``size`` also for a strip, see ``LONGEST_RATIO``.
    """
    (height, width), (rows, columns) = size, window
    strip = max(height, width) > LONGEST_RATIO * min(height, width)
    if strip or (height >= rows and width >= columns):
        return size
    # The side with the larger factor decides. Integers, so that it equals the window's side.
    target, given = (rows, height) if rows * width >= columns * height else (columns, width)
    return height * target // given, width * target // given


def windows(
    size: tuple[int, int], window: Sequence[int], stride: Sequence[int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window, placed as in MMSegmentation.

    The last windows end at the image's edge; an image smaller than a window is one window.
    """
    starts = []
    for length, side, step in zip(size, window, stride, strict=True):
        count = max(length - side + step - 1, 0) // step + 1
        starts.append([max(min(index * step, length - side), 0) for index in range(count)])
    for top in starts[0]:
        for left in starts[1]:
            yield slice(top, top + window[0]), slice(left, left + window[1])
