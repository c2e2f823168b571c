"""The first half of the training: an embedding of each concept, and image features to match."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor, nn

LOW, HIGH = 0.1, 0.9
"""Cosines outside these are pushed back, so that logarithms of them have room on both sides."""
COMMON = 0.4
"""Of the embeddings' squared length, what is the same for all, so that cosines are above 0."""
RARE = 0.7
"""Shares of concepts are divided by their mean share to this power: rare ones count more."""
EVIDENCE, COPIES = 12.0, 2
"""Most that is added to the logit of a class in copies of the features, and their number."""
SEEN = 0.002
"""Concepts of smaller shares than this in both pictures of a mask are not ordered."""
BATCH, PAIRS, RATE, PAIR_WEIGHT = 256, 128, 3e-3, 10.0


@dataclass
class Teacher:
    """A linear classifier (1000, C), (1000,) and concepts, sets of its classes (N, 1000)."""

    weight: Tensor
    bias: Tensor
    members: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Probabilities (..., N) of features (..., C)."""
        return (features @ self.weight.T + self.bias).softmax(-1) @ self.members.T

    def with_evidence(self, features: Tensor) -> Tensor:
        """Features (photos, n, C) with more of a random class, so that all classes are seen."""
        spread = self.weight - self.weight.mean(0)
        spread = spread / spread.square().sum(1, keepdim=True)
        drawn = spread[torch.randint(len(spread), (len(features), 1))]
        return F.relu(features + EVIDENCE * torch.rand(*features.shape[:2], 1) * drawn)

    @torch.no_grad()
    def start(self, features: Tensor, dims: int) -> tuple[nn.Linear, Tensor]:
        """A projection (C to ``dims``) and embeddings (N, ``dims``) from the weights alone."""
        spread = self.weight - self.weight.mean(0)
        axes = torch.linalg.svd(spread, full_matrices=False).Vh[: dims - 1]
        middle, own = features.mean(0), (1 - COMMON) ** 0.5
        head = nn.Linear(len(middle), dims)
        length = ((features - middle) @ axes.T).norm(dim=-1).mean()
        head.weight.copy_(F.pad(own * axes / length, (0, 0, 0, 1)))
        head.bias.copy_(-head.weight @ middle)
        head.bias[-1] = COMMON**0.5
        table = F.normalize(self.members @ spread @ axes.T, dim=-1)
        return head, F.pad(own * table, (0, 1), value=COMMON**0.5)


def distil_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of logits (B, N) with shares (B, N), by the shares' sum where it is below 1."""
    mass = target.sum(-1)
    entropy = -(target * logits.log_softmax(-1)).sum(-1) / (mass + 1e-6)
    return (entropy * mass.clamp(max=1)).mean()


def pair_loss(cosines: Tensor, shares: Tensor) -> Tensor:
    """Order of the two pictures (P, 2, N) of a mask for each concept, as in the shares."""
    logs = (shares + 1e-4).log()
    more = logs[:, 0] - logs[:, 1]
    weight = F.relu(shares.amax(1) - SEEN).sqrt() * more.abs().clamp(max=1)
    wrong = F.softplus(-25 * (cosines[:, 0] - cosines[:, 1]) * more.sign())
    return (weight * wrong).sum() / weight.sum()


def teach_table(
    features: Tensor, teacher: Teacher, dims: int, steps: int
) -> tuple[nn.Linear, Tensor, Tensor]:
    """Learn a head on features (photos, 8, C), and an embedding of each concept (N, ``dims``).

    The last result is the logarithm of the scale of cosines.
    """
    features = torch.cat([features, *(teacher.with_evidence(features) for _ in range(COPIES))])
    pairs = features[:, 2:].unflatten(1, (-1, 2)).flatten(0, 1)
    pictures = features.flatten(0, 1)
    shares, pair_shares = teacher(pictures), teacher(pairs)
    rare = (shares.mean(0) + 1e-4) ** -RARE
    head, table = teacher.start(pictures, dims)
    scale = nn.Parameter(torch.tensor(3.0))
    groups = [[*head.requires_grad_().parameters()], [table.requires_grad_()], [scale]]
    optimizer = torch.optim.Adam([dict(params=some) for some in groups])
    rates = [RATE / 3, RATE, RATE]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    for _ in track(range(steps), 'embeddings of the concepts'):
        chosen, drawn = torch.randint(len(pictures), (BATCH,)), torch.randint(len(pairs), (PAIRS,))
        unit = F.normalize(table, dim=-1)
        seen, halves = (F.normalize(head(x), dim=-1) for x in (pictures[chosen], pairs[drawn]))
        cosines, pair_cosines = seen @ unit.T, halves @ unit.T
        target = shares[chosen]
        levelled = target * rare
        levelled = levelled * (target.sum(-1) / levelled.sum(-1))[:, None]
        outside = F.relu(LOW - cosines) + F.relu(cosines - HIGH)
        loss = distil_loss(scale.exp() * cosines, levelled) + 5 * outside.mean()
        loss = loss + distil_loss(scale.exp() * cosines.T, target.T)
        loss = loss + PAIR_WEIGHT * pair_loss(pair_cosines, pair_shares[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.requires_grad_(False), F.normalize(table.detach(), dim=-1), scale.detach()
