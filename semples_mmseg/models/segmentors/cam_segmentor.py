"""Image-level training of a mask generator (stage 0), and CAM prediction for every stage."""

import warnings
from collections import defaultdict
from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.structures import BaseDataElement, PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...utils.classes import check_same_classes, model_metainfo, read_classes
from ...utils.errors import Refusal
from ...weights.loading import check_state_dict
from ..mask_generators.protocol import GeneratorOutput, check_generator, is_zero_shot
from ..soft_masks import label_map, min_max, refuse_nan
from ..stages import STAGES, Stage

_Found = tuple[Tensor, list[Tensor], dict[str, Tensor]]
_GUESSED = (
    'images come without tags, so the classes that the classifier predicts are taken as present; '
    'they are often wrong. semples_mmseg.inference.SemPLeSInferencer takes tags'
)


@MODELS.register_module()
class CAMSegmentor(BaseSegmentor):
    """A mask generator that learns only from image-level labels (WeakTr, section 3).

    Args:
        mask_generator: Config of the mask generator, e.g. ``WeakTrGenerator``; its
            ``num_classes`` may be left out where ``class_names`` are given.
        data_preprocessor: Options of ``CAMDataPreprocessor``, or the config of another one.
        background_score: Score of background, 0..1; a pixel is foreground if a CAM is higher.
        flip: Whether CAM prediction sums each image and its mirror image.
        pretrained, train_cfg, test_cfg, decode_head: Not used; MMSeg's functions and tools set or
            look for them. ``pretrained`` has to be None.
        class_names: The K object classes, see ``read_classes``. A data set with others, or in
            another order, is refused (``CheckClassesHook``).
    """

    def __init__(
        self,
        mask_generator: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        background_score: float = 0.4,
        flip: bool = True,
        init_cfg: dict[str, Any] | None = None,
        pretrained: str | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        decode_head: dict[str, Any] | None = None,
        class_names: str | Sequence[str] | None = None,
    ) -> None:
        if pretrained is not None:
            raise Refusal(
                f'model.pretrained={pretrained!r} has no effect: name weights of the backbone in '
                'model.mask_generator.backbone.init_cfg, those of the whole model in load_from'
            )
        super().__init__(
            data_preprocessor=dict(type='CAMDataPreprocessor') | dict(data_preprocessor or {}),
            init_cfg=init_cfg,
        )
        self.class_names: tuple[str, ...] | None = None
        if class_names is not None:
            named = read_classes(class_names, 'model.class_names')
            self.class_names = named.names
            self._dataset_meta = model_metainfo(named)
            number = mask_generator.get('num_classes', len(named.names))
            if number != len(named.names):
                raise Refusal(
                    f'model.mask_generator.num_classes is {number}, but model.class_names has '
                    f'{len(named.names)}: {", ".join(named.names)}. Leave num_classes out'
                )
            mask_generator = dict(mask_generator, num_classes=number)
            if is_zero_shot(mask_generator):
                mask_generator['class_names'] = named.prompts
        self.mask_generator = MODELS.build(mask_generator)
        check_generator(self.mask_generator)
        self.num_classes: int = self.mask_generator.num_classes
        self.background_score, self.flip = background_score, flip
        self.losses = nn.ModuleDict()
        self.stage: Stage = STAGES['classify']
        # CAMs of the images, by ``img_id``, that are predicted twice: None before the first time.
        self.kept: dict[str, _Found | None] = {}
        self._register_load_state_dict_pre_hook(self._check_checkpoint)

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Classes and palette. MMSeg sets those of a checkpoint; other classes are refused."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta: dict[str, Any]) -> None:
        given = meta.get('classes') or ()
        if self.class_names is not None:
            if len(given) != self.num_classes + 1:
                return  # MMSeg's default for a file without names
            check_same_classes(('background', *self.class_names), given, 'checkpoint')
        self._dataset_meta = meta

    def set_stage(self, stage: Stage) -> None:
        """Choose the losses of a stage, of those of the model; freeze what it does not train."""
        trained = self.trained_by(stage)
        if set(stage.losses) != {'classification'} and not {*stage.losses} <= {*self.losses}:
            raise Refusal(
                f'stage {stage.name!r} has the losses {stage.losses}; this {type(self).__name__} '
                f'has classification, alone, or those of model.losses: {[*self.losses]}'
            )
        self.stage = stage
        self.requires_grad_(False)
        for path in trained:
            self.get_submodule(path).requires_grad_(True)
        self.train(self.training)

    def roles(self) -> dict[str, tuple[str, ...]]:
        """Dotted paths of the modules of each role that a stage can train."""
        own = {
            role: tuple(f'mask_generator.{path}' for path in paths)
            for role, paths in self.mask_generator.roles.items()
        }
        return dict(own, generator=('mask_generator',))

    def trained_by(self, stage: Stage) -> tuple[str, ...]:
        """Dotted paths of the modules that a stage trains."""
        roles, modules = self.roles(), dict(self.named_modules())
        unknown = [name for name in stage.trains if name not in roles and name not in modules]
        if unknown:
            raise Refusal(
                f'stage {stage.name!r} trains {unknown}, which are not in this '
                f'{type(self).__name__} with the roles {sorted(roles)} and the modules '
                f'{[name for name, _ in self.named_children()]}'
            )
        return tuple(path for name in stage.trains for path in roles.get(name, (name,)))

    def train(self, mode: bool = True) -> 'CAMSegmentor':
        """Set the mode; what the stage fixes stays in eval mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and module.affine:
                # A frozen one would collect statistics, which no stage restores.
                module.train(mode and module.weight.requires_grad)
        generator = self.mask_generator
        if not any(parameter.requires_grad for parameter in generator.parameters()):
            generator.eval()
        elif self.stage.features_eval:
            for path in generator.roles['features']:
                generator.get_submodule(path).eval()
        return self

    def extract_feat(self, inputs: Tensor) -> GeneratorOutput:
        """Run the mask generator on (B, 3, H, W)."""
        return self.mask_generator(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any = None) -> Tensor:
        """CAMs (B, K, H, W) at the size of the inputs, not normalised."""
        cams, size = self.extract_feat(inputs).cams, inputs.shape[-2:]
        return F.interpolate(cams, size, mode='bilinear', align_corners=False)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        """CAMs (B, K, h, w) on the patch grid; only tensors, so that the model can be traced."""
        return self.extract_feat(inputs).cams

    def image_labels(self, data_samples: Sequence[SegDataSample]) -> Tensor:
        """Multi-hot labels (B, K) of a batch."""
        if not all('image_labels' in sample for sample in data_samples):
            raise Refusal(
                'images come without image-level labels (image_labels): train on a data set that '
                'has them, such as WeakLabelDataset, with PackWeakInputs at the end of its pipeline'
            )
        return torch.stack([sample.image_labels for sample in data_samples])

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Stage 0: multi-label soft margin of every prediction of the generator."""
        labels = self.image_labels(data_samples)
        output = self.mask_generator(inputs, detach_coarse=True)
        return {
            f'loss_{name}': F.multilabel_soft_margin_loss(logits.float(), labels)
            for name, logits in output.logits.items()
        }

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses; for the log each is averaged over all processes."""
        total, logged = super().parse_losses(losses)
        values = torch.stack([value.detach() for value in logged.values()])
        all_reduce(values, 'mean')
        return total, dict(zip(logged, values, strict=True))

    @torch.no_grad()
    def predict(
        self, inputs: Tensor | Sequence[Sequence[Tensor]], data_samples: Any = None
    ) -> list[SegDataSample]:
        """Multi-scale, flipped CAMs of the present classes, and the label map they give.

        Args:
            inputs: A batch (B, 3, H, W), or a list over scales of lists of images (3, H, W).
            data_samples: With ``image_labels`` if they are known; otherwise classes with a
                predicted probability above 0.5 are taken as present (``tags_guessed``).

        Returns:
            The data samples with ``cams`` (n, H, W) in [0, 1], at ``ori_shape`` or, if there is
            one, ``limited_shape``; ``cam_classes`` (n,); ``pred_sem_seg`` (1, H, W) at
            ``ori_shape``; ``predictions``, the logits (K,) of the generator by name, from the first
            scale without mirroring.
        """
        scales = [[*scale] for scale in ([inputs] if isinstance(inputs, Tensor) else inputs)]
        if data_samples is None:
            data_samples = [SegDataSample() for _ in scales[0]]
        for index, (sample, (classes, grids, logits)) in enumerate(
            zip(data_samples, self._find(scales, data_samples), strict=True)
        ):
            sample.tags_guessed = 'image_labels' not in sample
            original = tuple(sample.metainfo.get('ori_shape', scales[0][index].shape[-2:]))
            size = tuple(sample.metainfo.get('limited_shape', original))
            total = grids[0].new_zeros(len(classes), *size)
            for grid in grids if len(classes) else ():
                total += F.interpolate(grid[None], size, mode='bilinear', align_corners=False)[0]
            refuse_nan(total, sample)
            cams = min_max(total, eps=1e-8)
            sample.cams = PixelData(data=cams)
            sample.set_field(classes, 'cam_classes', dtype=Tensor)
            sample.predictions = BaseDataElement(**logits)
            sample.set_metainfo(dict(background_score=self.background_score))
            labels = label_map(cams, classes, self.background_score, original)
            sample.pred_sem_seg = PixelData(data=labels[None])
        return data_samples

    def _find(self, scales: list[list[Tensor]], samples: Sequence[SegDataSample]) -> list[_Found]:
        """Classes (n,) of each image, their CAMs (n, h, w) at each scale, logits at the first."""
        names = [sample.metainfo.get('img_id') for sample in samples]
        found = {index: kept for index, name in enumerate(names) if (kept := self.kept.get(name))}
        new = [index for index in range(len(samples)) if index not in found]
        views = zip(
            *(
                self._grid_cams([scale[i] for i in new], [samples[i] for i in new])
                for scale in scales
            ),
            strict=True,
        )
        for index, view in zip(new, views, strict=True):
            logits = view[0][1]
            if 'image_labels' in samples[index]:
                present = samples[index].image_labels > 0
            else:
                warnings.warn(_GUESSED, stacklevel=3)
                present = torch.stack(list(logits.values())).mean(0) > 0
            classes = present.nonzero().flatten()
            found[index] = classes, [cams[classes] for cams, _ in view], logits
            if names[index] in self.kept:
                self.kept[names[index]] = found[index]
        return [found[index] for index in range(len(samples))]

    def _grid_cams(
        self, images: list[Tensor], samples: Sequence[SegDataSample]
    ) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """CAMs (K, h, w) on the grid and logits (K,) by name, one batch per image size."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            groups[tuple(image.shape)].append(index)
        results: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}
        for indices in groups.values():
            batch = torch.stack([images[index] for index in indices])
            if self.flip:
                batch = torch.cat([batch, batch.flip(-1)])
            options = {}
            if getattr(self.mask_generator, 'zero_shot', False):
                every = batch.new_ones(self.num_classes)
                tags = [samples[index].get('image_labels', every) for index in indices]
                options['labels'] = torch.stack(tags * (2 if self.flip else 1))
            output = self.mask_generator(batch, **options)
            cams = output.cams.float()
            if self.flip:
                # Upsampling is linear and symmetric, so mirror images can be summed on the grid.
                cams = cams[: len(indices)] + cams[len(indices) :].flip(-1)
            for row, index in enumerate(indices):
                logits = {name: values[row].float() for name, values in output.logits.items()}
                results[index] = (cams[row], logits)
        return [results[index] for index in range(len(images))]

    def _check_checkpoint(
        self, state_dict: MutableMapping[str, Tensor], prefix: str, metadata: Any = None, *_: Any
    ) -> None:
        """Refuse weights that lack the mask generator, which would stay random."""
        check_state_dict(self, ('mask_generator',), state_dict, prefix, metadata)
