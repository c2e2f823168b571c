"""A GPU gives what a CPU gives; skipped where there is none."""

import copy

import pytest
import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny import TINY_SEMPLES

import semples_mmseg  # noqa: F401
from semples_mmseg.models.stages import STAGES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU'),
]


def samples(device):
    rows = [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    made = []
    for row in rows:
        sample = SegDataSample(metainfo=dict(ori_shape=(64, 64), img_shape=(64, 64)))
        sample.image_labels = torch.tensor(row, dtype=torch.float32, device=device)
        made.append(sample)
    return made


@pytest.fixture
def models():
    """One tiny SemPLeS twice: on the CPU and on the GPU, both in full float32 (no TF32)."""
    torch.manual_seed(0)
    on_cpu = MODELS.build(copy.deepcopy(TINY_SEMPLES))
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('highest')
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield on_cpu, copy.deepcopy(on_cpu).cuda()
    torch.set_float32_matmul_precision(precision)


@pytest.mark.parametrize('stage', ['classify', 'match', 'prompt', 'refine'])
def test_losses_and_gradients_are_those_of_the_cpu(models, stage):
    inputs = torch.randn(3, 3, 64, 64)
    results = []
    for model, device in zip(models, ('cpu', 'cuda'), strict=True):
        model.set_stage(STAGES[stage])
        model.train()
        losses = model.loss(inputs.to(device), samples(device))
        total = sum(value for name, value in losses.items() if 'loss' in name)
        total.backward()
        gradients = {
            name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None
        }
        results.append((total.detach().cpu(), gradients))
    (cpu_loss, cpu_gradients), (gpu_loss, gpu_gradients) = results
    torch.testing.assert_close(gpu_loss, cpu_loss, rtol=1e-4, atol=1e-5)
    assert cpu_gradients and cpu_gradients.keys() == gpu_gradients.keys()
    for name, gradient in cpu_gradients.items():
        torch.testing.assert_close(
            gpu_gradients[name], gradient, rtol=1e-2, atol=1e-5, msg=lambda m, n=name: f'{n}: {m}'
        )


def test_cams_are_those_of_the_cpu(models):
    inputs = torch.randn(2, 3, 64, 96)
    cams = []
    for model, device in zip(models, ('cpu', 'cuda'), strict=True):
        model.eval()
        with torch.no_grad():
            cams.append(model.mask_generator(inputs.to(device)).cams.cpu())
    assert cams[0].amax() > 0
    torch.testing.assert_close(cams[1], cams[0], rtol=1e-3, atol=1e-5)


def test_bfloat16_losses_are_finite(models):
    model = models[1]
    model.set_stage(STAGES['refine'])
    model.train()
    with torch.autocast('cuda', dtype=torch.bfloat16):
        losses = model.loss(torch.randn(3, 3, 64, 64, device='cuda'), samples('cuda'))
    assert all(torch.isfinite(value).all() for value in losses.values())
