"""Holders of CLIP's networks; frozen ones are rewritten to compute the same with less work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ...utils.errors import Refusal

if TYPE_CHECKING:
    from open_clip.transformer import ResidualAttentionBlock

_HALVES = dict(bfloat16=torch.bfloat16, float16=torch.float16)
_QUICK_GELU_SCALE = 1.702


class FrozenBlock(nn.Module):
    """A residual attention block of open_clip, with fused attention on contiguous tokens."""

    @torch.no_grad()
    def __init__(self, block: ResidualAttentionBlock) -> None:
        from open_clip.transformer import QuickGELU

        super().__init__()
        self.ln_1, self.ln_2 = block.ln_1, block.ln_2
        self.ls_1, self.ls_2 = block.ls_1, block.ls_2
        self.attn, self.mlp = block.attn, block.mlp
        if isinstance(self.mlp.gelu, QuickGELU):
            # x sigmoid(s x) = SiLU(s x) / s takes one pass over memory instead of three.
            self.mlp.c_fc.weight.mul_(_QUICK_GELU_SCALE)
            self.mlp.c_fc.bias.mul_(_QUICK_GELU_SCALE)
            self.mlp.c_proj.weight.div_(_QUICK_GELU_SCALE)
            self.mlp.gelu = nn.SiLU()

    def get_weight_dtype(self) -> torch.dtype:
        """Data type of the weights; open_clip's transformers read it from their first block."""
        return self.mlp.c_fc.weight.dtype

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.attn.num_heads, -1)).transpose(1, 2)

    def _by_row(self, mask: Tensor) -> Tensor:
        """(n or 1, heads or 1, L, L) from either shape of a mask."""
        return mask.unflatten(0, (-1, self.attn.num_heads)) if mask.ndim == 3 else mask[None, None]

    def _finish(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        """The rest of the block: (n, l, C) from its input and the attention's (n, h, l, d)."""
        tokens = tokens + self.ls_1(self.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
        return tokens + self.ls_2(self.mlp(self.ln_2(tokens)))

    def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Run the block on (n, L, C); a mask (L, L) or (n heads, L, L) is added to scores."""
        projected = F.linear(self.ln_1(tokens), self.attn.in_proj_weight, self.attn.in_proj_bias)
        query, key, value = map(self._heads, projected.chunk(3, dim=-1))
        mask = None if attn_mask is None else self._by_row(attn_mask).to(query.dtype)
        return self._finish(tokens, F.scaled_dot_product_attention(query, key, value, mask))

    def read(self, tokens: Tensor, positions: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Rows (n, C) of ``forward`` at one position (n,) of each; nothing else is computed."""
        rows = torch.arange(len(tokens), device=tokens.device)
        normed = self.ln_1(tokens)
        weights = self.attn.in_proj_weight.split([tokens.shape[-1], 2 * tokens.shape[-1]])
        biases = self.attn.in_proj_bias.split([tokens.shape[-1], 2 * tokens.shape[-1]])
        query = self._heads(F.linear(normed[rows, positions], weights[0], biases[0])[:, None])
        key, value = map(self._heads, F.linear(normed, weights[1], biases[1]).chunk(2, dim=-1))
        mask = None
        if attn_mask is not None:
            each = self._by_row(attn_mask).expand(len(tokens), -1, -1, -1)
            mask = each[rows, :, positions][:, :, None].to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)
        return self._finish(tokens[rows, positions][:, None], mixed)[:, 0]

    def attend_to_self(self, tokens: Tensor) -> Tensor:
        """Run the block on (n, L, C) with an attention in which every token sees only itself."""
        width = tokens.shape[-1]
        weight, bias = self.attn.in_proj_weight[2 * width :], self.attn.in_proj_bias[2 * width :]
        return self._finish(tokens, self._heads(F.linear(self.ln_1(tokens), weight, bias)))


class FirstToken(nn.Module):
    """A last block of which only the first token is read."""

    def __init__(self, block: FrozenBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """(n, 1, C) from (n, L, C)."""
        first = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        return self.block.read(tokens, first, attn_mask)[:, None]


class PatchProduct(nn.Module):
    """A convolution whose stride is its kernel, as a matrix product, whose gradient is faster."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.patch_size = convolution.kernel_size
        self.weight = nn.Parameter(convolution.weight.flatten(1).contiguous())

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, h, w) from (B, 3, H, W); borders that do not fill a patch are cut."""
        height, width = self.patch_size
        patches = images.unfold(2, height, height).unfold(3, width, width)  # (B, 3, h, w, ., .)
        tokens = F.linear(patches.permute(0, 2, 3, 1, 4, 5).flatten(3), self.weight)
        return tokens.permute(0, 3, 1, 2)


def read_tokens(
    block: nn.Module, tokens: Tensor, positions: Tensor, attn_mask: Tensor | None
) -> Tensor:
    """Tokens (n, C) at positions (n,) of the last block's output for tokens (n, L, C)."""
    if isinstance(block, FrozenBlock):
        return block.read(tokens, positions, attn_mask)
    return block(tokens, attn_mask=attn_mask)[torch.arange(len(tokens)), positions]


def fold_norms(network: Any) -> None:
    """Fold the batch norms of a frozen image side into the convolutions whose outputs they read.

    Which ones do is found by encoding an image: the order of submodules need not tell.

    Raises:
        Refusal: If the network computes something else then.
    """
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    pairs: dict[nn.Module, nn.Conv2d] = {}

    def convolved(convolution: Any, inputs: Any, output: Tensor) -> None:
        outputs[id(output)] = convolution, output  # kept, so that no other tensor has this id

    def normed(norm: Any, inputs: tuple[Tensor]) -> None:
        if id(inputs[0]) in outputs and norm.running_mean is not None:
            pairs[norm] = outputs[id(inputs[0])][0]

    hooks = [m.register_forward_hook(convolved) for m in _all(network, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(normed) for m in _all(network, nn.BatchNorm2d)]
    size, weight = network.image_size, next(network.parameters())
    image = F.interpolate(torch.linspace(-1, 1, 192).to(weight).view(1, 3, 8, 8), size)
    wanted = network(image)
    for hook in hooks:
        hook.remove()
    for parent in [*network.modules()]:
        for name, norm in [*parent.named_children()]:
            if norm in pairs:
                fused = fuse_conv_bn_eval(pairs[norm], norm)
                pairs[norm].weight, pairs[norm].bias = fused.weight, fused.bias
                setattr(parent, name, nn.Sequential(*norm.children()))  # timm's hold activations
    found = network(image)
    if not torch.allclose(found, wanted, rtol=1e-2, atol=1e-3 * float(wanted.abs().max())):
        raise Refusal(
            'model.image_head: the batch norms of this CLIP cannot be folded into its '
            'convolutions; set image_head.streamline=False'
        )


def _all(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


@torch.no_grad()
def streamline(network: nn.Module) -> Any:
    """Rewrite a frozen side of open_clip's CLIP in place, to compute less; it is returned.

    Weights are folded into others, so it must not be trained or saved. Blocks of other kinds and
    other poolings than the usual ones are left unchanged.
    """
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    network.eval()
    # Not of CLIP's own ResNets: the figures of the demo, which has one, were measured without.
    if hasattr(network, 'trunk') and _all(network, nn.BatchNorm2d):
        fold_norms(network)
    transformer = getattr(network, 'transformer', None)
    blocks: Any = getattr(transformer, 'resblocks', ())
    for index, block in enumerate(blocks):
        if type(block) is ResidualAttentionBlock and block.attn.batch_first:
            blocks[index] = FrozenBlock(block)
    if isinstance(network, VisionTransformer):
        network.conv1 = PatchProduct(network.conv1)
        network.output_tokens = False  # only CoCa's decoder reads them
        only_first = network.pool_type == 'tok' and network.attn_pool is None
        if only_first and isinstance(blocks[-1], FrozenBlock):
            blocks[-1] = FirstToken(blocks[-1])
    return network.requires_grad_(False).to(memory_format=torch.channels_last)


class Encoder(nn.Module):
    """Hold a side of CLIP.

    A frozen one is rewritten in place (``streamline``) and stays in eval mode. It moves with its
    owner, but is in no optimizer, distributed wrapper or checkpoint, because it can be loaded again
    from its source. Any other is left as it is, and is an ordinary submodule, ``clip``.
    """

    def __init__(self, network: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.frozen = frozen
        self.dtype: torch.dtype | None = None
        # A list hides the network from nn.Module's registration.
        self._held = [network]
        if frozen:
            streamline(network)
        else:
            self.clip = network

    @property
    def network(self) -> Any:
        """The network itself."""
        return self._held[0]

    def run_in(self, dtype: str | None, option: str) -> None:
        """Run in half precision (a ``dtype``) from now on; ``option`` names it in errors."""
        if dtype is None:
            return
        if dtype not in _HALVES:
            raise Refusal(f'{option} must be None or one of {", ".join(_HALVES)}, got {dtype!r}')
        self.dtype = _HALVES[dtype]
        # Once: autocast, with the same results, rounds frozen weights in every call.
        rounded = (nn.Linear, nn.Conv2d, nn.MultiheadAttention, PatchProduct)
        for module in self.network.modules() if self.frozen else ():
            if isinstance(module, rounded):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Encoder:
        super()._apply(fn, recurse)
        if self.frozen:
            self.network._apply(fn)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        if self.dtype is None:
            return self.network(*args, **kwargs)
        device = next(self.network.parameters()).device.type
        with torch.autocast(device, self.dtype):
            return self.network(*args, **kwargs)
