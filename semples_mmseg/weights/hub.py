"""Files of weights by name: in a cache on disk, or downloaded on demand."""

import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path

import huggingface_hub

# Seconds to wait for the server to answer.
PATIENCE = 3


def kept_file(repository: str, names: tuple[str, ...]) -> Path | None:
    """The first of several files of a repository that Hugging Face's cache holds."""
    for name in names:
        found = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def reachable(address: str) -> bool:
    """Whether a server answers; the downloads themselves try for a minute."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=PATIENCE).close()
            answers.put(True)
        except OSError as error:  # also an answer, such as "not found"
            answers.put(isinstance(error, urllib.error.HTTPError))

    # In a thread, because the look-up of the name has no time limit.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=PATIENCE)
    except queue.Empty:
        return False
