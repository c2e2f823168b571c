"""SemPLeS: a mask generator taught by CLIP, in stages."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...utils.classes import read_classes
from ...utils.errors import Refusal
from ..clip import ManualPrompts, PromptLearner, as_clip
from ..soft_masks import soft_masks
from ..stages import STAGES, Stage, resolve_stage
from .cam_segmentor import CAMSegmentor


@MODELS.register_module()
class SemPLeS(CAMSegmentor):
    """Semantic prompt learning for weakly supervised segmentation (arXiv 2401.11791).

    The stage (``set_stage``) decides which losses are computed and what trains:

    | stage | losses | trains |
    |---|---|---|
    | classify | classification | mask generator (stage 0, WeakTr) |
    | match | eq. 1 | ``masks`` of the mask generator (WeakTr: head and fusion) |
    | prompt | eq. 2 | prompts; the generator is in eval mode |
    | refine | eq. 1 + second term of eq. 3 | ``masks`` of the mask generator |
    | joint | eq. 1 to 3 | ``masks`` and prompts |

    Everything after the mask generator runs on the P (image, present class) pairs of a batch;
    an image without labels has no pairs and adds nothing.

    Args:
        mask_generator: Config of the mask generator S.
        clip: Config of the CLIP that both heads share: ``model``, ``pretrained``, ``quick_gelu`` of
            ``build_clip``; another ``type`` for a builder of your own.
        class_names: The K object classes, see ``semples_mmseg.utils.classes.read_classes``.
        text_head: Options of ``CLIPTextHead``. Its ``class_names``, if given, replace the model's.
        image_head: Options of ``CLIPImageHead``.
        prompt_learner: Options of ``PromptLearner``: ``num_tokens``, ``init_words``,
            ``init_cfg``; or config of ``ManualPrompts``.
        match_loss: Options of ``MatchLoss``.
        prompt_loss: Options of ``PromptLoss``.
        refine_loss: Options of ``RefineLoss``.
        stage: Name of the stage to begin in; ``StageSwitchHook`` changes it.
        backbone_eval: Whether the generator's ``features`` are in eval mode while ``masks``
            train; ``False`` (published) leaves their stochastic depth on.
        **kwargs: Options of ``CAMSegmentor``.

    Raises:
        ValueError: If there are no class names, the parts disagree on the number of classes, or
            the prompts are longer than CLIP takes.
    """

    def __init__(
        self,
        mask_generator: dict[str, Any],
        clip: dict[str, Any],
        class_names: str | Sequence[str] = (),
        text_head: dict[str, Any] | None = None,
        image_head: dict[str, Any] | None = None,
        prompt_learner: dict[str, Any] | None = None,
        match_loss: dict[str, Any] | None = None,
        prompt_loss: dict[str, Any] | None = None,
        refine_loss: dict[str, Any] | None = None,
        stage: str = 'match',
        backbone_eval: bool = False,
        **kwargs: Any,
    ) -> None:
        text_head = dict(text_head or {})
        class_names = text_head.pop('class_names', class_names)
        super().__init__(mask_generator, class_names=class_names, **kwargs)
        prompts = read_classes(class_names).prompts
        mean, std = (getattr(self.data_preprocessor, name, None) for name in ('mean', 'std'))
        incoming = dict(
            input_mean=[0.0] * 3 if mean is None else mean.flatten().tolist(),
            input_std=[1.0] * 3 if std is None else std.flatten().tolist(),
        )
        build = MODELS.build
        both = as_clip(clip)  # once: its file is large
        self.image_head = build(
            dict(type='CLIPImageHead', clip=both, **incoming) | (image_head or {})
        )
        self.text_head = build(
            dict(type='CLIPTextHead', clip=both, class_names=prompts) | text_head
        )
        self.prompt_learner: PromptLearner | ManualPrompts = build(
            dict(type='PromptLearner', num_classes=self.num_classes, width=self.text_head.width)
            | (prompt_learner or {})
        )
        self.prompt_learner.prepare(self.text_head, self.class_names or ())
        self.match_loss = build(dict(type='MatchLoss') | (match_loss or {}))
        self.prompt_loss = build(dict(type='PromptLoss') | (prompt_loss or {}))
        self.refine_loss = build(dict(type='RefineLoss') | (refine_loss or {}))
        # Identifies the CLIP and the names that a checkpoint was trained with.
        self.register_buffer('clip_fingerprint', self.text_head.class_features.clone())
        self.backbone_eval = backbone_eval
        self._prompt_features: Tensor | None = None
        self.set_stage(resolve_stage(stage))

    def set_stage(self, stage: Stage) -> None:
        """Choose losses and freeze what does not train; see ``CAMSegmentor``."""
        super().set_stage(stage)
        self._prompt_features = None

    def roles(self) -> dict[str, tuple[str, ...]]:
        """Dotted paths of the modules of each role that a stage can train."""
        return dict(super().roles(), prompts=('prompt_learner',))

    def _check_losses(self, stage: Stage) -> None:
        if 'classification' in stage.losses and len(stage.losses) > 1:
            raise Refusal(f'stage {stage.name!r}: classification allows no other losses')
        if 'prompt' in stage.losses and isinstance(self.prompt_learner, ManualPrompts):
            raise Refusal(
                f'stage {stage.name!r} learns prompts, but model.prompt_learner is ManualPrompts: '
                'take the stage out of stages'
            )

    def train(self, mode: bool = True) -> 'SemPLeS':
        """Set the mode; modules that the stage fixes stay in eval mode."""
        super().train(mode)
        # The base class calls this before the stage is set.
        if mode and hasattr(self, 'backbone_eval') and self.stage.name != STAGES['classify'].name:
            if not any(p.requires_grad for p in self.mask_generator.parameters()):
                self.mask_generator.eval()
            elif self.backbone_eval:
                for path in self.mask_generator.roles['features']:
                    self.mask_generator.get_submodule(path).eval()
        return self

    def num_frozen_outside(self) -> int:
        """Number of parameters of the two CLIP encoders."""
        return self.image_head.encoder.num_parameters() + self.text_head.encoder.num_parameters()

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """The losses of the current stage.

        Args:
            inputs: (B, 3, H, W), normalised.
            data_samples: With ``image_labels`` (K,) each.

        Returns:
            Those of ``loss_match``, ``loss_prompt`` and ``loss_refine`` that the stage has.
        """
        if self.stage.losses == ('classification',):
            return super().loss(inputs, data_samples)
        wanted = set(self.stage.losses)
        images, classes = self.image_labels(data_samples).nonzero(as_tuple=True)
        if len(images) == 0:
            return self._no_pairs()

        cams = self.mask_generator(inputs).cams[images, classes]
        masks = soft_masks(cams.float(), self.image_head.input_size, self.stage.mask_eps)
        pixels = self.image_head.prepare(inputs)[images]
        label = self.text_head.class_features[classes]
        prompt = self.prompt_features(classes) if wanted & {'prompt', 'refine'} else label
        foreground, background = self._encode(pixels, masks, wanted)

        losses = {}
        if 'match' in wanted:
            losses['loss_match'] = self.match_loss(foreground, background, label)
        if 'prompt' in wanted:
            losses['loss_prompt'] = self.prompt_loss(prompt, background, label)
        if 'refine' in wanted:
            losses['loss_refine'] = self.refine_loss(foreground, prompt)
        return losses

    def _encode(self, pixels: Tensor, masks: Tensor, wanted: set[str]) -> tuple[Tensor, Tensor]:
        """Features v_f, v_b (P, D) of M x X and (1 - M) x X in one CLIP batch.

        Prompt learning does not need the foreground, so it is not encoded there.
        """
        if wanted == {'prompt'}:
            background = self.image_head((1 - masks) * pixels)
            return background, background
        pairs = torch.cat([masks * pixels, (1 - masks) * pixels])
        foreground, background = self.image_head(pairs).chunk(2)
        return foreground, background

    def prompt_features(self, classes: Tensor) -> Tensor:
        """Features u_b of the background prompts of classes.

        While prompts train, each of the given classes is encoded once per call. While they are
        fixed, all K are encoded once per stage.

        Args:
            classes: (P,) 0-based.

        Returns:
            (P, D) unit vectors.
        """
        if any(parameter.requires_grad for parameter in self.prompt_learner.parameters()):
            present, rows = classes.unique(return_inverse=True)
            return self.prompt_learner.features(self.text_head, present)[rows]
        if self._prompt_features is None:
            self._prompt_features = self.prompt_learner.features(self.text_head)
        return self._prompt_features[classes]

    def _no_pairs(self) -> dict[str, Tensor]:
        """Zero losses for a batch of images without labels; other processes may have pairs."""
        # A product with zero keeps the graph, which distributed wrappers need. Empty tensors let
        # this process take part in the count of pairs.
        trainable = [p.sum() for p in self.parameters() if p.requires_grad]
        nothing = 0 * torch.stack(trainable).sum()
        features = self.text_head.class_features
        empty = features[:0] + 0 * nothing
        values = dict(
            match=lambda: self.match_loss(empty, empty, empty),
            prompt=lambda: self.prompt_loss(empty, empty, empty),
            refine=lambda: self.refine_loss(empty, empty),
        )
        # In the same order as in the other processes.
        return {
            f'loss_{name}': value() + nothing
            for name, value in values.items()
            if name in self.stage.losses
        }

    def _check_checkpoint(
        self, state_dict: Mapping[str, Tensor], prefix: str, metadata: Any = None, *_: Any
    ) -> None:
        super()._check_checkpoint(state_dict, prefix, metadata)
        given = state_dict.get(prefix + 'clip_fingerprint')
        own = self.clip_fingerprint
        if given is not None and not torch.allclose(given.to(own), own, atol=1e-2):
            raise Refusal(
                'the checkpoint was trained with another CLIP or other class names: set '
                'model.clip and model.class_names to what it was made with'
            )
