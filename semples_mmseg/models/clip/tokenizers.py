"""The tokenizers of CLIP models."""

import importlib.util
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
from open_clip.tokenizer import HFTokenizer

from ...utils.errors import Refusal
from ...weights.hub import PATIENCE, kept_file, reachable

# A file that every tokenizer of Hugging Face has.
SETTINGS = 'tokenizer_config.json'


def find_tokenizer(text_cfg: dict[str, Any], source: str | None, model: str) -> Any:
    """Find the tokenizer of a text encoder; it is downloaded if it is not on disk.

    Args:
        text_cfg: Config of the text encoder in open_clip's form.
        source: A tokenizer instead of the config's: its folder, or its name on Hugging Face's hub.
        model: Name of the model in messages.

    Returns:
        An ``open_clip.SimpleTokenizer`` or ``HFTokenizer`` that fills up to the context's length.

    Raises:
        ValueError: If it is one of Hugging Face's, and transformers or its files are missing.
    """
    options = dict(text_cfg.get('tokenizer_kwargs') or {})
    options['context_length'] = text_cfg.get('context_length', 77)
    source = source or text_cfg.get('hf_tokenizer_name')
    if not source:
        return open_clip.SimpleTokenizer(**options)
    kept = _on_disk(source)
    server = huggingface_hub.constants.ENDPOINT
    # MMPretrain cannot be imported beside transformers 5.
    if importlib.util.find_spec('transformers') is None:
        reason = "transformers is not installed: pip install 'transformers>=4.53,<5'"
    elif not kept and not reachable(server):
        reason = f'it is not on disk, and {server} gave no answer within {PATIENCE} s'
    else:
        mode = text_cfg.get('tokenizer_mode')
        # Code that comes with a tokenizer does not run.
        safe = dict(local_files_only=kept, trust_remote_code=False)
        try:
            return HFTokenizer(source, tokenizer_mode=mode, **options, **safe)
        except Exception as error:  # each kind of tokenizer raises its own
            reason = f'it cannot be read ({type(error).__name__}: {error})'
    raise Refusal(
        f'the CLIP model {model} needs the tokenizer {source!r}, and {reason}. If its files are '
        f'elsewhere, set clip.tokenizer to the folder with tokenizer.json and {SETTINGS}; models '
        'with the vocabulary of CLIP, e.g. clip.model=ViT-B-16, need no files'
    )


def _on_disk(source: str) -> bool:
    """Whether a tokenizer is a folder or in the cache of Hugging Face."""
    if Path(source).is_dir():
        return True
    try:
        return kept_file(source, (SETTINGS,)) is not None
    except huggingface_hub.errors.HFValidationError:  # a path
        return False
