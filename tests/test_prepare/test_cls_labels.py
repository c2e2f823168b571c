"""The community's pickled labels: what they say is read, what they want to run is not."""

import io
import json
import os
import pickle

import numpy as np
import pytest
from run_tool import run_tool

from semples_mmseg.prepare.cls_labels import read_cls_labels

CLASSES = ('cat', 'car', 'dog')
VECTORS = {'2007_000032': [1, 0, 1], '2007_000039': [0, 1, 0], '2007_000063': [0, 0, 0]}
EXPECTED = {'2007_000032': ['cat', 'dog'], '2007_000039': ['car'], '2007_000063': []}


def save(path, content, protocol=None):
    """Write as ``numpy.save`` does, or as releases of NumPy with another pickle protocol did."""
    if protocol is None:
        np.save(path, content)
        return path
    header = io.BytesIO()
    array = np.array(content, dtype=object)
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    path.write_bytes(header.getvalue() + pickle.dumps(array, protocol=protocol))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'cls_labels.npy'


def test_round_trip(file):
    for dtype in ('float32', 'int64', 'uint8', 'bool', '>f4'):
        save(file, {i: np.array(vector, dtype) for i, vector in VECTORS.items()})
        assert read_cls_labels(file, CLASSES) == EXPECTED


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_all_pickle_protocols(file, protocol):
    content = {i: np.array(vector, np.float32) for i, vector in VECTORS.items()}
    content[np.str_('2008_000001')] = np.array([0, 0, 1], np.float32)
    save(file, content, protocol)
    assert read_cls_labels(file, CLASSES) == {**EXPECTED, '2008_000001': ['dog']}


def test_files_of_numpy_1(file):
    save(file, {i: np.array(vector, np.float32) for i, vector in VECTORS.items()}, 2)
    content = file.read_bytes()
    assert b'numpy._core.multiarray' in content
    # protocol 2 writes names as lines, so that the shorter one fits without further ado
    file.write_bytes(content.replace(b'numpy._core.multiarray', b'numpy.core.multiarray'))
    assert read_cls_labels(file, CLASSES) == EXPECTED


def test_numbers_as_ids(file):
    save(file, {2007000032: [1, 0, 0], np.int64(2007000039): np.array([0, 1, 0])})
    assert read_cls_labels(file, CLASSES) == {'2007_000032': ['cat'], '2007_000039': ['car']}
    save(file, {9: np.array([0, 0, 1])})
    found = read_cls_labels(file, CLASSES, 'COCO_train2014_{:012d}')
    assert found == {'COCO_train2014_000000000009': ['dog']}
    with pytest.raises(ValueError, match='image 9:.*--id-format'):
        read_cls_labels(file, CLASSES)
    for wrong in ('train', '{', '{:q}', '{name}'):
        with pytest.raises(ValueError, match='does not turn a whole number'):
            read_cls_labels(file, CLASSES, wrong)
    save(file, {2007000032: np.ones(3), '2007_000032': np.ones(3)})
    with pytest.raises(ValueError, match="'2007_000032' twice"):
        read_cls_labels(file, CLASSES)


class Malicious:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def mark(path):
    return f'open({path!r}, "w").close()'


@pytest.mark.parametrize(
    ('make', 'name'),
    [
        (lambda path: Malicious(os.system, f'touch {path}'), '(posix|nt).system'),
        (lambda path: Malicious(eval, mark(path)), '(builtins|__builtin__).eval'),
        (lambda path: Malicious(getattr, np.ndarray, 'tofile'), '(builtins|__builtin__).getattr'),
        (lambda path: Malicious(np.save, path, 0), 'numpy.*save'),
        (lambda path: Malicious(pickle.loads, b''), '_?c?[Pp]ickle.loads'),
    ],
)
@pytest.mark.parametrize('protocol', [2, 4])
def test_nothing_is_run(file, tmp_path, make, name, protocol):
    trace = tmp_path / 'executed'
    content = {'2007_000032': np.ones(3), 'x': make(str(trace))}
    save(file, content, protocol)
    with pytest.raises(
        ValueError, match=f'cls_labels.npy cannot be read: it asks for {name}, which'
    ):
        read_cls_labels(file, CLASSES)
    assert not trace.exists()


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (np.ones(2), 'expected a vector of 3 zeros and ones, got 2 entries'),
        (np.ones((1, 3)), 'got no vector of numbers'),
        ('cat', 'got no vector of numbers'),
        (None, 'got no vector of numbers'),
        (np.array([-1, 0.5, np.nan]), 'expected zeros and ones, got -1.0, 0.5, nan'),
    ],
)
def test_wrong_vectors(file, value, message):
    save(file, {'2007_000032': np.ones(3), '2007_000039': value})
    with pytest.raises(ValueError, match=f"cls_labels.npy, image '2007_000039': .*{message}"):
        read_cls_labels(file, CLASSES)


def test_other_files(file):
    with pytest.raises(FileNotFoundError, match='cls_labels.npy'):
        read_cls_labels(file, CLASSES)
    for content, message in (
        (np.ones((2, 3)), r'array of shape \(2, 3\) and type float64'),
        (np.array(['a', 1], dtype=object), r'array of shape \(2,\)'),
        (np.array(None, dtype=object), 'holds a NoneType; expected a dict'),
        ({}, 'holds an empty dict'),
        ({1.5: np.ones(3)}, 'image 1.5: an id is a text or a whole number'),
        ({'a': np.array([1j, 0, 0])}, "image 'a': expected a vector"),
    ):
        save(file, content)
        with pytest.raises(ValueError, match=message):
            read_cls_labels(file, CLASSES)
    save(file, {i: np.array(vector) for i, vector in VECTORS.items()})
    complete = file.read_bytes()
    for size in (0, 5, 40, 140, len(complete) - 9):
        file.write_bytes(complete[:size])
        with pytest.raises(ValueError, match='cls_labels.npy cannot be read'):
            read_cls_labels(file, CLASSES)


def test_command_line(file, tmp_path, capsys):
    save(file, {'2007_000032': np.eye(20)[14]})
    out, tool = tmp_path / 'labels.json', 'dataset_converters/cls_labels.py'
    assert run_tool(tool, file, '--out', out, '--dataset', 'voc') == 0
    assert 'labels of 1 images, written' in capsys.readouterr().out
    assert json.loads(out.read_text()) == {'2007_000032': ['person']}
    assert run_tool(tool, file, '--out', out, '--dataset', 'WeakVOCDataset') == 0
    assert 'there already' in capsys.readouterr().out
    for given, message in (
        (['--classes', 'cat', 'dog'], 'vector of 2'),
        (['--dataset', 'vok'], 'vok'),
    ):
        with pytest.raises(ValueError, match=message):
            run_tool(tool, file, '--out', out, *given)
