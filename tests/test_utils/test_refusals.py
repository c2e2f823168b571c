"""Refusals keep their type and text on their way out of other processes."""

import pytest
from torch.utils.data import DataLoader

from semples_mmseg.utils.errors import AlreadyThere, Missing, MissingPackage, Refusal, RunError
from semples_mmseg.utils.parallel import WorkerPool

KINDS = [Refusal, Missing, AlreadyThere, MissingPackage, RunError]
TEXT = 'photo a: b.jpg is empty; replace the file'


class Raises:
    """A data set, and a task, that refuses everything."""

    def __init__(self, kind):
        self.kind = kind

    def __len__(self):
        return 1

    def __getitem__(self, index):
        try:
            raise KeyError('inner: cause')
        except KeyError as error:
            raise self.kind(TEXT) from error

    __call__ = __getitem__


def test_from_a_pool_and_a_loader_worker():
    with pytest.raises(Missing) as caught:
        next(iter(DataLoader(Raises(Missing), num_workers=1)))
    assert type(caught.value) is Missing and str(caught.value) == TEXT
    for kind in KINDS:
        # as PyTorch raises it anew
        text = f'Caught Missing in DataLoader worker process 0.\nOriginal ...\na.Missing: {TEXT}'
        assert str(kind(text)) == TEXT
        with WorkerPool(Raises(kind), 1) as pool:
            pool.put(0)
            with pytest.raises(kind) as caught:
                pool.wait()
            assert type(caught.value) is kind and str(caught.value) == TEXT


def test_kinds_of_python():
    assert issubclass(Refusal, ValueError) and issubclass(RunError, RuntimeError)
    assert issubclass(Missing, FileNotFoundError) and issubclass(AlreadyThere, FileExistsError)
    assert Missing(TEXT).errno is None
