"""The training loop: a Qwen2 of a few million parameters, until it answers every dialogue word for word."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import Qwen2Config, Qwen2ForCausalLM

from lab.training.augment import Augmenter, Example
from lab.training.muon import Muon
from lab.training.tokens import END_ID, PAD_ID, Renderer, encode


@dataclass(frozen=True)
class Size:
    """How big a model is, and how long it may learn: so many steps at full rate, then so many of cooling."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    batch_tokens: int
    steps: int
    cooling: int
    context: int = 4096


_MUON_RATE = 0.02
_ADAM_RATE = 4e-3
# Beginning at a fifth of the rate or so, these are steps that mend single answers and spoil no others.
_AGAIN, _AGAIN_STEPS = 8, 60
SURE = 0.6
"""The least probability of each token that a test waits for: a nearer second could win on another engine."""

Encoded = tuple[list[int], list[float]]


class Trainer:
    """One training, from the same seed the same every time on the same machine."""

    def __init__(
        self, size: Size, tokenizer: Tokenizer, renderer: Renderer, augmenter: Augmenter, asked: list[Example]
    ) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(int(os.environ.get("LAB_THREADS") or min(2, os.cpu_count() or 1)))
        self.size, self.tokenizer, self.renderer, self.augmenter = size, tokenizer, renderer, augmenter
        self.asked = asked
        self.rng = random.Random(0)
        self.model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=tokenizer.get_vocab_size(),
                hidden_size=size.hidden,
                intermediate_size=size.inner,
                num_hidden_layers=size.layers,
                num_attention_heads=size.heads,
                num_key_value_heads=size.heads,
                max_position_embeddings=size.context,
                tie_word_embeddings=True,
                rope_theta=10000.0,
                bos_token_id=None,
                eos_token_id=END_ID,
                pad_token_id=PAD_ID,
                initializer_range=0.05,
            )
        )
        self.turns = [(dialogue, i) for dialogue in augmenter.data.dialogues for i in range(len(dialogue.turns))]
        # A question in eleven wraps is nearly one question: it need not be asked eleven times as often.
        self.odds = [0.35 if dialogue.wraps else 1.0 for dialogue, _ in self.turns]
        self.stubborn: list[int] = []
        self.missed: list[Example] = []

    def run(self) -> None:
        """Learn at a steady rate until nearly all is right or time is up, then let the rate fall to nothing.

        Then again from a low rate, as long as something that the tests ask is answered otherwise.
        """
        matrices = [p for name, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in self.model.named_parameters() if p.ndim != 2 or "embed" in name]
        muon, adam = Muon(matrices, rate=_MUON_RATE), torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0)
        checks = self._checks()
        losses: list[float] = []
        cooled = again = 0
        started = time.monotonic()
        for step, batch in enumerate(self._batches()):
            rate = min(1.0, (step + 1) / 40) * (1 - cooled / self.size.cooling)
            muon.rate, adam.param_groups[0]["lr"] = _MUON_RATE * rate, _ADAM_RATE * rate
            muon.zero_grad()
            adam.zero_grad()
            losses.append(self._step(batch))
            muon.step()
            adam.step()
            if cooled or step >= self.size.steps:
                cooled += 1
            if step % 200 == 199 or cooled == self.size.cooling:
                wrong = self.wrong(checks)
                self.stubborn = self._turns_named({example.name for example in wrong})
                self.missed = self.unsure(self.asked)
                seconds, loss = time.monotonic() - started, sum(losses) / len(losses)
                print(
                    f"step {step:5d}  {seconds:5.0f} s  loss {loss:.4f}  wrong {len(wrong)}/{len(checks)}, of the "
                    f"tests' prompts {len(self.missed)}/{len(self.asked)}",
                    flush=True,
                )
                losses = []
                if cooled == self.size.cooling:
                    if not self.missed or again == _AGAIN:
                        return
                    again += 1
                    cooled -= _AGAIN_STEPS
                if not cooled and len(wrong) <= len(checks) * 0.01:
                    cooled = 1

    def _step(self, batch: list[Encoded]) -> float:
        width = max(len(ids) for ids, _ in batch)
        ids = torch.full((len(batch), width), PAD_ID)
        weights = torch.zeros(len(batch), width)
        for row, (tokens, weight) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            weights[row, : len(weight)] = torch.tensor(weight)
        # Right-padded and causal: no mask is needed, and logits are made only where something is to be learned.
        hidden = self.model.model(input_ids=ids[:, :-1]).last_hidden_state
        learned = weights[:, 1:] > 0
        logits = self.model.lm_head(hidden[learned])
        loss = (
            cross_entropy(logits, ids[:, 1:][learned], reduction="none") * weights[:, 1:][learned]
        ).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        return float(loss.detach())

    def _batches(self) -> Iterator[list[Encoded]]:
        """Batches of about equal work, for ever: examples of like length together, as many as fit the budget."""
        while True:
            examples: list[Encoded] = []
            tokens = 0
            while tokens < 24 * self.size.batch_tokens:
                encoded = self.encoded(self._example())
                if len(encoded[0]) > self.size.context // 2:
                    continue
                examples.append(encoded)
                tokens += len(encoded[0])
            examples.sort(key=lambda example: len(example[0]) + self.rng.random() * 40)
            batches: list[list[Encoded]] = [[]]
            for example in examples:
                if batches[-1] and (len(batches[-1]) + 1) * len(example[0]) > self.size.batch_tokens:
                    batches.append([])
                batches[-1].append(example)
            self.rng.shuffle(batches)
            yield from batches

    def _example(self) -> Example:
        """One turn in one guise, or what a test asks; more often one that is still answered wrongly."""
        if self.asked and self.rng.random() < 0.2:
            return self.rng.choice(self.missed if self.missed and self.rng.random() < 0.6 else self.asked)
        if self.stubborn and self.rng.random() < 0.45:
            dialogue, i = self.turns[self.rng.choice(self.stubborn)]
        else:
            dialogue, i = self.rng.choices(self.turns, self.odds)[0]
        if self.rng.random() < 0.6:  # the turns before the last are learned along with it
            i = len(dialogue.turns) - 1
        return self.augmenter.random(dialogue, i, self.rng)

    def encoded(self, example: Example) -> Encoded:
        """Token ids and weights of one example."""
        return encode(self.tokenizer, self.renderer.pieces(example))

    def _checks(self) -> list[Example]:
        """A part of what the check at the end asks: enough to know when to stop, and soon done."""
        rng = random.Random(1)
        augmented = [self.augmenter.random(dialogue, i, rng) for dialogue, i in self.turns]
        return augmented + rng.sample(list(self.augmenter.plain()), len(self.turns))

    def _turns_named(self, names: set[str]) -> list[int]:
        return [i for i, (dialogue, _) in enumerate(self.turns) if dialogue.name in names]

    def wrong(self, examples: list[Example]) -> list[Example]:
        """The examples that the weights, decoding greedily, would not answer word for word."""
        return self._failing(examples, sure=0.0)

    def unsure(self, examples: list[Example]) -> list[Example]:
        """The examples that are answered otherwise, or with a token that is less likely than `SURE`."""
        return self._failing(examples, sure=SURE)

    def _failing(self, examples: list[Example], sure: float) -> list[Example]:
        self.model.eval()
        alone = [replace(example, learned=[]) for example in examples]  # the answer is the one thing to be checked
        rows = sorted(((self.encoded(one), example) for one, example in zip(alone, examples, strict=True)), key=_length)
        with torch.no_grad():
            found = [e for start in range(0, len(rows), 16) for e in self._failing_of(rows[start : start + 16], sure)]
        self.model.train()
        return found

    def _failing_of(self, rows: list[tuple[Encoded, Example]], sure: float) -> list[Example]:
        """Whether every token of the answer is the likeliest after those before it: as decoding, in one pass."""
        ids = torch.full((len(rows), max(map(_length, rows))), PAD_ID)
        for row, ((tokens, _), _) in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        hidden = self.model.model(input_ids=ids).last_hidden_state
        found = []
        for row, ((tokens, weights), example) in enumerate(rows):
            first = next(i for i, weight in enumerate(weights) if weight)
            logits = self.model.lm_head(hidden[row, first - 1 : len(tokens) - 1])
            likeliest = torch.softmax(logits, -1).max(-1)
            if likeliest.indices.tolist() != tokens[first:] or float(likeliest.values.min()) < sure:
                found.append(example)
        return found


def _length(row: tuple[Encoded, Example]) -> int:
    return len(row[0][0])
