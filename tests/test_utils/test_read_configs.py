"""``--cfg-options``: values as MMEngine reads them, spaces kept."""

import argparse

import pytest

from semples_mmseg.cli.arguments import add_common_options
from semples_mmseg.utils.configs import read_options


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    return parser


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('/my data (1)/VOC 2012', '/my data (1)/VOC 2012'),
        ("'quoted path'", 'quoted path'),
        ('1e-3', 1e-3),
        ('None', None),
        ('[(0.9, 0.98), a]', [(0.9, 0.98), 'a']),
        ('a=b', 'a=b'),
    ],
)
def test_values(parser, text, value):
    given = parser.parse_args(['--cfg-options', f'a.b={text}'])
    assert read_options(given.cfg_options) == {'a.b': value}


def test_a_setting_without_a_value_is_refused(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'model.pretrained'])
    assert 'model.pretrained' in capsys.readouterr().err
