"""Faster runs: MMEngine formats the text of a config a dozen times, a tenth of a second each."""

import pytest
from mmengine.config import Config


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """The text of a config is Python, but not formatted."""

    def text(config):
        return ''.join(f'{key} = {value!r}\n' for key, value in config.to_dict().items())

    monkeypatch.setattr(Config, 'pretty_text', property(text))
