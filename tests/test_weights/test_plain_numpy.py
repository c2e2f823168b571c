"""NumPy's data in pickles: every type of numbers comes back, no dtype is shaped by the file."""

import io
import pickle

import numpy as np
import pytest
import torch

from semples_mmseg.prepare.cls_labels import read_cls_labels
from semples_mmseg.weights import read_checkpoint, read_state_dict

CODES = '?bBhHiIlLqQefdgFDG'
RECONSTRUCT, SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]


@pytest.mark.parametrize('code', [*CODES, '>f8', '>i2', 'S3', 'U3'])
def test_plain_arrays_and_scalars_come_back_and_are_saved_as_numpys(tmp_path, code):
    array = np.array([[0, 1, 1]], code).T
    for _ in range(2):
        torch.save(dict(w=array, x=array[1, 0]), tmp_path / 'x.pth')
        found = read_checkpoint(tmp_path / 'x.pth')
        assert found['w'].dtype == array.dtype.newbyteorder('=') and found['x'] == array[1, 0]
        np.testing.assert_array_equal(found['w'], array)
        array = found['w']
    assert pickle.loads(pickle.dumps(array)).__class__ is np.ndarray


class Call:
    """Pickled as the call of a function, and a state for its result."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


def dtype(code, changed=None, at=-1):
    """A dtype whose state is not its own."""
    state = list(np.dtype([('a', 'O')] if code == 'V8' else code).__reduce__()[2])
    if changed is not None:
        state[at] = changed
    return Call(np.dtype, code, False, True, state=tuple(state))


def array(kind, shape=(1,), content=b'\x41' * 8):
    return Call(RECONSTRUCT, np.ndarray, (0,), b'b', state=(1, shape, kind, False, content))


HOSTILE = {
    'objects': array(dtype('O8', 0)),
    'fields': array(dtype('V8', 0), ()),
    'flags': Call(SCALAR, dtype('V8', 0), b'\x41' * 8),
    'object scalar': Call(SCALAR, dtype('O8', 0), b'\x41' * 8),
    'numbers with fields': array(dtype('f8', {'a': (np.dtype('f4'), 0)}, 4)),
    'short': array(dtype('f8'), (9,)),
    'negative': array(dtype('f8'), (-1, -1)),
    'short list': array(dtype('O8'), (99,), [1]),
    'numbers of objects': Call(np.ndarray, (1,), 'O'),
    **{
        f'type {code}': array(Call(np.dtype, code, False, True))
        for code in ('O8', 'V8', 'f8,O', '(2,)O', 'M8', 'm8', [('a', 'O')], 'a', 'p', 'n')
    },
}


@pytest.mark.parametrize('name', HOSTILE)
def test_types_that_a_file_shapes_are_refused(tmp_path, name):
    hostile = HOSTILE[name]
    torch.save(dict(state_dict=dict(w=torch.ones(1)), meta=[hostile]), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='x.pth'):
        read_state_dict(tmp_path / 'x.pth')
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, dict(shape=(), fortran_order=False, descr='|O'))
    content = Call(RECONSTRUCT, np.ndarray, (0,), b'b',
                   state=(1, (), np.dtype('O'), False, [{'a': hostile}]))  # fmt: skip
    (tmp_path / 'x.npy').write_bytes(file.getvalue() + pickle.dumps(content))
    with pytest.raises(ValueError, match='x.npy'):
        read_cls_labels(tmp_path / 'x.npy', ['cat'])
