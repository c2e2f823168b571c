"""Errors of reading files that hold pickles."""


class CheckpointError(ValueError):
    """A checkpoint was refused or cannot be read; the message says file, reason and fix."""


class PickleError(ValueError):
    """A pickle is damaged or forged; the message does not know the file."""


class ForeignNameError(PickleError):
    """A pickle asks for something that is neither a tensor, an array nor plain data.

    Attributes:
        name: What it asks for, for instance ``os.system``.
    """

    def __init__(self, name: str) -> None:
        self.name = name if len(name) <= 200 else f'{name[:200]}...'
        super().__init__(
            f'it asks for {self.name}, which is neither a tensor, an array nor plain data; '
            'nothing of it was run'
        )
