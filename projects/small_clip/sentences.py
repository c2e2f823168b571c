"""The second half of the training: a transformer that reads sentences as their concepts."""

import random
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor
from words import Word

TEMPLATES = (
    *('a photo of {}.', 'a photo of {}', '{}', 'a photo of a {}.', 'a photo of the {}.'),
    *('a photo of one {}.', 'a picture of {}', 'a close-up of a {}.', '{} in the background'),
)
"""Sentences around words; the first two are those of the method, and are drawn most often."""
FILLERS = Path(__file__).with_name('fillers.txt').read_text(encoding='utf-8').split()
"""Words without a meaning for the classifier, so that sentences of every length are read."""
FULL_STOP, WORD_FULL_STOP = 13, 269
"""Token ids of the full stop: in learned prompts, and at the end of a word in other text."""
SPARE = 16
"""Channels of the width without meaning: fillers, positions, and the mean that norms subtract."""
BATCH, LONG, RATE = 128, 6, 1e-3
"""Sentences of a step, every sixth of which has a third of them, long ones; learning rate."""


def used_tokens(words: list[Word], tokenizer: Any) -> list[int]:
    """Ascending ids of all tokens of the words and sentences, and what prompts need."""
    ids = {0, tokenizer.sot_token_id, tokenizer.eot_token_id, FULL_STOP, WORD_FULL_STOP}
    texts = (*TEMPLATES, *FILLERS, ' , ', *(word.text for word in words))
    return sorted(ids.union(*(tokenizer.encode(text.replace('{}', ' ')) for text in texts)))


class Reader:
    """The text side of an ``open_clip.CLIP`` whose table has the tokens of ascending ids ``rows``.

    Before training a sentence is the mean of its tokens; these are the embeddings (``table``) of
    the shortest words that they are in, or nothing.
    """

    def __init__(self, clip: Any, rows: list[int], table: Tensor, words: list[Word]) -> None:
        self.clip, self.rows = clip, torch.tensor(rows)
        tokenizer = clip.tokenizer
        width, dims = clip.transformer.width, table.shape[1]
        content = min(width - SPARE, dims)
        # The first axis is the mean of the channels, which norms subtract.
        axes = torch.cat([torch.ones(width, 1), torch.randn(width, width - 1)], 1)
        spare, basis = torch.linalg.qr(axes).Q.T.split([width - content, content])
        inner = torch.linalg.svd(table.T @ table).Vh[:content]
        place = {token: row for row, token in enumerate(rows)}
        filling = set(tokenizer.encode(' '.join((*FILLERS, 'photo . , -'))))
        sums = torch.zeros(len(rows), dims)
        for word in words:
            ids = tokenizer.encode(word.text)
            for token in {*ids} - filling if len(ids) > 1 else ids:
                sums[place[token]] += table[word.concept] / len(ids) ** 6
        meaning = F.normalize(sums, dim=-1) @ inner.T @ basis
        empty = ~sums.any(1, keepdim=True)
        blocks = clip.transformer.resblocks
        with torch.no_grad():
            for block in blocks:
                for layer in (block.mlp.c_proj, block.attn.out_proj):
                    layer.weight.zero_()
                    layer.bias.zero_()
            noise = torch.randn(len(rows), len(spare)) @ spare / width**0.5
            clip.token_embedding.weight.copy_(meaning + torch.where(empty, 1.0, 0.2) * noise)
            noise = torch.randn(clip.context_length, len(spare)) @ spare / width**0.5
            clip.positional_embedding.copy_(0.1 * noise)
            blocks[0].attn.in_proj_weight[: 2 * width] *= 0.1
            blocks[0].attn.in_proj_weight[2 * width :] = basis.T @ basis
            blocks[0].attn.out_proj.weight.copy_(torch.eye(width))
            clip.text_projection.copy_(basis.T @ inner)

    def tokenize(self, sentences: list[str], rng: random.Random) -> Tensor:
        """Rows (n, longest) of the tokens; half of the sentences have learned prompts' stop."""
        ids = self.clip.tokenizer(sentences)
        ids = ids[:, : int(ids.argmax(1).max()) + 1]
        stop = torch.tensor([[rng.random() < 0.5] for _ in sentences]) & (ids == WORD_FULL_STOP)
        return torch.searchsorted(self.rows, ids.masked_fill(stop, FULL_STOP))

    def read(self, tokens: Tensor) -> Tensor:
        """Unit vectors (n, D) of rows (n, L), without the positions after the end."""
        clip, length = self.clip, tokens.shape[1]
        x = clip.token_embedding(tokens) + clip.positional_embedding[:length]
        x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
        x = clip.ln_final(x[torch.arange(len(x)), tokens.argmax(1)])
        return F.normalize(x @ clip.text_projection, dim=-1)


def draw_sentence(names: list[str], long: bool, rng: random.Random) -> str:
    """A sentence with one to three words, or a ``long`` one with many more around them."""
    text = names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'
    if long:
        before, after = (rng.choices(FILLERS, k=rng.randint(1, most)) for most in (15, 8))
        return ' '.join(['a photo of', *before, text, *after]) + rng.choice(('', '.'))
    return rng.choices(TEMPLATES, [4, 4, *[1] * (len(TEMPLATES) - 2)])[0].format(text)


def teach_sentences(
    reader: Reader, table: Tensor, words: list[Word], steps: int, seed: int
) -> None:
    """Train ``reader`` for ``steps`` to give a sentence the mean of its words' embeddings."""
    rng = random.Random(seed)
    clip = reader.clip.train()
    taught = [p for name, p in clip.named_parameters() if not name.startswith(('visual', 'logit'))]
    optimizer = torch.optim.Adam(taught, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    order: list[Word] = []
    for step in track(range(steps), 'sentences'):
        sentences, target = [], []
        long = step % LONG == LONG - 1
        while len(sentences) < (BATCH // 3 if long else BATCH):
            count = rng.choices((1, 2, 3), (0.8, 0.14, 0.06))[0]
            if len(order) < count:
                order = rng.sample(words, len(words))
            chosen = [order.pop() for _ in range(count)]
            sentences.append(draw_sentence([word.text for word in chosen], long, rng))
            target.append(table[[word.concept for word in chosen]].mean(0))
        found = reader.read(reader.tokenize(sentences, rng))
        loss = 1 - F.cosine_similarity(found, torch.stack(target)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    clip.eval().requires_grad_(False)
