"""A fixed corpus of bad images, masks, lists and labels for every loader."""

import fuzz_images
import fuzz_labels
import fuzz_masks
import pytest
from harness import LOADED, Limits, run

INPUTS = 50


@pytest.mark.parametrize('fuzzer', [fuzz_images, fuzz_masks, fuzz_labels])
def test_bad_files_are_loaded_or_refused(fuzzer, monkeypatch):
    monkeypatch.setenv(fuzz_images.LIMIT_VARIABLE, str(fuzz_images.PIXELS))
    for name, found in fuzzer.fuzz(INPUTS, seed=1).items():
        assert not found.bugs, (name, found.bugs[:5])
        assert found.total() == INPUTS and 0 < found[LOADED] < INPUTS, (name, found)


@pytest.mark.parametrize('small', [1, 4])
def test_no_image_takes_twice_the_memory_of_a_good_one(small, monkeypatch):
    """Bombs of pixels and of comments, with two limits of pixels."""
    pixels = fuzz_images.PIXELS // small
    monkeypatch.setenv(fuzz_images.LIMIT_VARIABLE, str(pixels))
    good = fuzz_images.picture('PNG', 'RGB', (1000, pixels // 1000))
    peak = run('good', lambda _: good, fuzz_images.load, (), inputs=1).peak
    assert 3 * pixels <= peak
    for bomb in (fuzz_images.png_bomb, fuzz_images.text_bomb):
        found = run(
            'bombs', bomb, fuzz_images.load, (ValueError,), Limits(memory=2 * peak), inputs=8
        )
        assert not found.bugs, found.bugs[:5]
        assert found == {'ValueError': 8}
