"""Background prompts that are written by hand."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from .text_head import CLIPTextHead


@MODELS.register_module()
class ManualPrompts(nn.Module):
    """Fixed sentences about backgrounds instead of learned prompts (CLIMS, arXiv 2203.02668).

    Feature u_b of a class is the normalised mean of the features of its sentences, as CLIP combines
    sentences. There is nothing to learn, so runs have no prompt stage.

    Args:
        num_classes: K; the segmentor fills it in.
        texts: Texts for all classes, or a list for each class by its name.
        template: Sentence with ``{}`` in place of the text.
        width: Not used; the segmentor fills it in.

    Raises:
        ValueError: If there are no texts, a text is empty, or the template has no place for it.
    """

    encoded: Tensor

    def __init__(
        self,
        num_classes: int,
        texts: Sequence[str] | Mapping[str, Sequence[str]],
        template: str = '{}',
        width: int | None = None,
    ) -> None:
        super().__init__()
        if '{}' not in template:
            raise Refusal(f'prompt_learner.template {template!r} needs {{}} for the text')
        lists = list(texts.values()) if isinstance(texts, Mapping) else [texts]
        if not lists or any(
            isinstance(some, str) or not some or not all(text and text.strip() for text in some)
            for some in lists
        ):
            raise Refusal(
                'prompt_learner.texts must be a list of texts, or such a list for each class, '
                f'none of them empty; got {texts!r}'
            )
        self.num_classes, self.template = num_classes, template
        self.texts = texts

    def prepare(self, text_head: CLIPTextHead, class_names: Sequence[str]) -> None:
        """Encode the sentences.

        Args:
            text_head: The encoder.
            class_names: The K classes in the order of the model.

        Raises:
            ValueError: If a class has no texts, texts belong to no class, or a sentence does not
                fit CLIP's context.
        """
        texts = self.texts
        if not isinstance(texts, Mapping):
            texts = dict.fromkeys(class_names, texts)
        if texts.keys() != set(class_names):
            raise Refusal(
                'prompt_learner.texts must have a list for each class: missing are '
                f'{sorted(set(class_names) - texts.keys())}, unknown '
                f'{sorted(texts.keys() - set(class_names))}'
            )
        sentences = {self.template.format(text): None for some in texts.values() for text in some}
        features = dict(zip(sentences, text_head.encode_sentences(list(sentences)), strict=True))
        rows = [
            torch.stack([features[self.template.format(text)] for text in texts[name]]).mean(0)
            for name in class_names
        ]
        means = F.normalize(torch.stack(rows), dim=-1)
        self.register_buffer('encoded', means, persistent=False)

    def features(self, text_head: CLIPTextHead, classes: Tensor | None = None) -> Tensor:
        """Features u_b (n, D), unit vectors, of n classes (0-based), or of all."""
        return self.encoded if classes is None else self.encoded[classes]
