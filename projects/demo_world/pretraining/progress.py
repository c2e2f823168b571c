"""Progress with remaining time for the pretraining loops."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from mmengine.logging import MMLogger

Item = TypeVar('Item')
INTERVAL = 10.0
"""Seconds between two lines."""


def track(items: Iterable[Item], name: str) -> Iterator[Item]:
    """Yield ``items``, logging every ten seconds how many are done and how long the rest takes.

    Args:
        items: Anything with a length.
        name: What the items are, for the log.
    """
    logger = MMLogger.get_current_instance()
    total = len(items)  # type: ignore[arg-type]
    start = shown = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - shown >= INTERVAL and done:
            shown = now
            left = (now - start) / done * (total - done)
            logger.info(f'{name}: {done}/{total}, {left:.0f} s left')
        yield item
    logger.info(f'{name}: {total} in {time.monotonic() - start:.0f} s')
