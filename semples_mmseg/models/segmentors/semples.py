"""SemPLeS: a mask generator taught by CLIP, in stages."""

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from mmengine.logging import MessageHub, print_log
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ...utils.classes import read_classes
from ...utils.errors import Refusal
from ..clip.loading import as_clip
from ..clip.prompts import ManualPrompts, PromptLearner
from ..losses.pairs import FEATURES, MIN_SIMILARITY, Pairs
from ..soft_masks import soft_masks
from ..stages import Stage, resolve_stage
from .cam_segmentor import CAMSegmentor

_WATCHED = 50  # steps that a warning looks back on
_OF_CLIP = ('image_head', 'text_head', 'prompt_learner', 'clip_fingerprint')


@MODELS.register_module()
class SemPLeS(CAMSegmentor):
    """Semantic prompt learning for weakly supervised segmentation (arXiv 2401.11791).

    The stage (``models.stages.STAGES``) decides which losses are computed and what trains.
    Everything after the mask generator runs on the P (image, present class) pairs of a batch.

    Args:
        mask_generator: Config of the mask generator S.
        clip: Options of ``build_clip`` for both heads; or the ``type`` of a builder of your own.
        losses: Configs of the losses by the names that stages use, each called with ``Pairs``.
        class_names: The K object classes, see ``read_classes``.
        text_head: Options of ``CLIPTextHead``. Its ``class_names``, if given, replace the model's.
        image_head: Options of ``CLIPImageHead``.
        prompt_learner: Options of ``PromptLearner``, or config of ``ManualPrompts``.
        stage: Name of the stage to begin in; ``StageSwitchHook`` changes it. None: no loss is
            computed before a stage is entered, and CLIP is built then or when it is first used.
    """

    # Loaded weights of what computes with CLIP until that is built, then None.
    _waiting: dict[str, Tensor] | None = None

    def __init__(
        self,
        mask_generator: dict[str, Any],
        clip: dict[str, Any],
        losses: Mapping[str, dict[str, Any]],
        class_names: str | Sequence[str] = (),
        text_head: dict[str, Any] | None = None,
        image_head: dict[str, Any] | None = None,
        prompt_learner: dict[str, Any] | None = None,
        stage: str | None = None,
        **kwargs: Any,
    ) -> None:
        text_head = dict(text_head or {})
        class_names = text_head.pop('class_names', class_names)
        super().__init__(mask_generator, class_names=class_names, **kwargs)
        self._prompt_names = read_classes(class_names).prompts
        self._clip_options = clip, image_head or {}, text_head, prompt_learner or {}
        self.losses = nn.ModuleDict({name: MODELS.build(losses[name]) for name in losses})
        self._prompt_features: Tensor | None = None
        self._clamped: Tensor | None = None
        self._waiting, self._in_stage = {}, False
        if stage is not None:
            self.set_stage(resolve_stage(stage))

    def __getattr__(self, name: str) -> Any:
        if name in _OF_CLIP:
            self._build_clip()
        return super().__getattr__(name)

    def _build_clip(self) -> None:
        """Build, once, what computes with CLIP, and load its weights; nothing of it trains."""
        if self._waiting is None:
            return
        clip, image_head, text_head, prompt_learner = self._clip_options
        clip = as_clip(clip)  # one: its file is large
        image_defaults: dict[str, Any] = dict(type='CLIPImageHead', clip=clip)
        for name, plain in (('mean', 0.0), ('std', 1.0)):
            value = getattr(self.data_preprocessor, name, torch.full((3,), plain))
            image_defaults[f'input_{name}'] = value.flatten().tolist()
        text_defaults = dict(type='CLIPTextHead', clip=clip, class_names=self._prompt_names)
        images = MODELS.build(image_defaults | image_head)
        texts = MODELS.build(text_defaults | text_head)
        prompts: PromptLearner | ManualPrompts = MODELS.build(
            dict(type='PromptLearner', num_classes=self.num_classes, width=texts.width)
            | prompt_learner
        )
        prompts.prepare(texts, self.class_names or ())
        waiting, self._waiting = self._waiting, None
        self.image_head, self.text_head, self.prompt_learner = images, texts, prompts
        # Identifies the CLIP and the names that a checkpoint was trained with.
        self.register_buffer('clip_fingerprint', texts.class_features.clone())
        self.to(next(self.mask_generator.parameters()).device)
        for part in (images, texts, prompts):
            part.requires_grad_(False)
        self.train(self.training)
        try:
            self.load_state_dict({**self.state_dict(), **waiting}, strict=False)
        except Refusal:
            self._waiting = waiting  # the next use is refused too
            raise

    def init_weights(self) -> None:
        """See MMEngine."""
        self._build_clip()
        super().init_weights()

    def set_stage(self, stage: Stage) -> None:
        """Choose losses and freeze what does not train; see ``CAMSegmentor``."""
        self._build_clip()
        super().set_stage(stage)
        self._prompt_features = None
        self._in_stage, self._warned = True, False

    def roles(self) -> dict[str, tuple[str, ...]]:
        """Dotted paths of the modules of each role; manual prompts have no ``'prompts'``."""
        learned = any(True for _ in self.prompt_learner.parameters())
        return super().roles() | (dict(prompts=('prompt_learner',)) if learned else {})

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """``loss_match`` and so on, the losses of the stage, of normalised images (B, 3, H, W)."""
        if not self._in_stage:
            raise Refusal(
                'the model is in no stage: train it with stages and '
                "train_cfg=dict(type='StagedTrainLoop'), or set model.stage"
            )
        if self.stage.losses == ('classification',):
            return super().loss(inputs, data_samples)
        # The only wait for a GPU: what depends on the number of pairs is known to the host then.
        pairs_at = self.image_labels(data_samples).cpu().nonzero()
        pairs = self._pairs(inputs, pairs_at) if len(pairs_at) else self._no_pairs()
        seen = pairs.v_b if pairs.v_f is None else pairs.v_f
        if seen is not None and pairs.u_f is not None:
            cosines = (seen.detach() * pairs.u_f.detach()).sum(-1)
            self._clamped = (cosines <= MIN_SIMILARITY).float().sum() / max(len(cosines), 1)
        return {f'loss_{name}': self.losses[name](pairs) for name in self.stage.losses}

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses; the share of pairs on which they are flat is logged as ``clamped``.

        A warning says once a stage if it stays near 1.
        """
        # Values that were logged before: the device is not waited for.
        hub = MessageHub.get_current_instance().log_scalars.get('train/clamped')
        last = () if hub is None else hub.data[0][-_WATCHED:]
        if not self._warned and len(last) == _WATCHED and sum(last) / _WATCHED > 0.95:
            self._warned = True
            print_log(
                f'{sum(last) / _WATCHED:.0%} of the pairs are clamped: this CLIP finds the images '
                'unlike their class names, so the losses do not train; set model.clip (model, '
                'pretrained, quick_gelu) and model.text_head.template to ones that fit',
                'current',
                logging.WARNING,
            )
        clamped = {} if self._clamped is None else dict(clamped=self._clamped)
        self._clamped = None
        return super().parse_losses(losses | clamped)

    def _pairs(self, inputs: Tensor, pairs_at: Tensor) -> Pairs:
        """The record of pairs (P, 2) of an image, by its index in the batch, and a class."""
        images, classes = pairs_at.to(inputs.device, non_blocking=True).unbind(1)
        losses = [self.losses[name] for name in self.stage.losses]
        needs = {feature for loss in losses for feature in getattr(loss, 'needs', FEATURES)}
        cams = self.mask_generator(inputs).cams[images, classes]
        masks = soft_masks(cams.float(), self.image_head.input_size, self.stage.mask_eps)
        pixels = self.image_head.prepare(inputs)[images]
        pairs = Pairs(pixels, classes, cams, masks)
        pairs.u_f = self.text_head.features(classes)
        if 'u_b' in needs:
            pairs.u_b = self.prompt_features(pairs_at[:, 1])
        # Foreground and background in one CLIP batch; prompt learning needs the background alone.
        weights = dict(v_f=masks, v_b=1 - masks)
        wanted = [name for name in weights if name in needs]
        if wanted:
            features = self.image_head(torch.cat([weights[name] * pixels for name in wanted]))
            for name, feature in zip(wanted, features.chunk(len(wanted)), strict=True):
                setattr(pairs, name, feature)
        return pairs

    def _no_pairs(self) -> Pairs:
        """The record of a batch without labels: its share in the means is counted as zero pairs."""
        # A product with zero keeps the graph, which distributed wrappers need.
        nothing = 0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()
        feature = self.text_head.class_features[:0] + nothing
        maps = nothing.expand(0, 1, *self.image_head.input_size)
        images = maps.expand(-1, 3, -1, -1)
        classes = torch.zeros(0, dtype=torch.long, device=maps.device)
        return Pairs(images, classes, maps[:, 0], maps, **dict.fromkeys(FEATURES, feature))

    def prompt_features(self, classes: Tensor) -> Tensor:
        """Features u_b (P, D), unit vectors, of the background prompts of classes (P,), 0-based."""
        device = self.clip_fingerprint.device
        learning = any(parameter.requires_grad for parameter in self.prompt_learner.parameters())
        if learning or not self.text_head.encoder.frozen:
            found = classes.cpu().unique(return_inverse=True)
            present, rows = (some.to(device, non_blocking=True) for some in found)
            return self.prompt_learner.features(self.text_head, present)[rows]
        if self._prompt_features is None:
            self._prompt_features = self.prompt_learner.features(self.text_head)
        return self._prompt_features[classes.to(device, non_blocking=True)]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.update((prefix + key, value) for key, value in (self._waiting or {}).items())

    def _check_checkpoint(
        self, state_dict: MutableMapping[str, Tensor], prefix: str, metadata: Any = None, *_: Any
    ) -> None:
        super()._check_checkpoint(state_dict, prefix, metadata)
        self._prompt_features = None
        if self._waiting is not None:
            for key in [key for key in state_dict if key.removeprefix(prefix).startswith(_OF_CLIP)]:
                self._waiting[key.removeprefix(prefix)] = state_dict.pop(key).clone()
            return
        given = state_dict.get(prefix + 'clip_fingerprint')
        own = self.clip_fingerprint
        if given is not None and not torch.allclose(given.to(own), own, atol=1e-2):
            raise Refusal(
                'the checkpoint was trained with another CLIP or other class names: set '
                'model.clip and model.class_names to what it was made with'
            )
