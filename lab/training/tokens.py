"""The tokenizer and the chat template: text in, token ids and the positions to learn out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import xinference
from jinja2 import Environment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lab.training.augment import Example

# Only these are special. The tool and think tags are ordinary added tokens: the transformers engine strips special ones
# from its answers, and the server would find no tool call to parse.
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<think>", "</think>", "<tool_response>", "</tool_response>")
END = "<|im_end|>"
END_ID = SPECIAL.index(END)
PAD_ID = 0

# transformers 5 loads Qwen2Tokenizer for `model_type: qwen2` whatever tokenizer.json says; this is its expression (it
# splits every digit), and llama.cpp's pre-tokeniser `qwen2` is the same. With another, the engines read differently.
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ASSISTANT = re.compile(r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)", re.DOTALL)


def built_in_template(family: str) -> str:
    """The chat template of a family that the installed server brings along."""
    file = Path(xinference.__file__).parent / "model" / "llm" / "models" / f"{family}.json"
    entry = json.loads(file.read_text())
    return str((entry[0] if isinstance(entry, list) else entry)["chat_template"])


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE in Qwen2's manner; the special tokens and tags come first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    first = [AddedToken(token, special=token in SPECIAL, normalized=False) for token in SPECIAL + TAGS]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=first, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer makes every token of its list special; this says again which ones are not.
    entry = json.loads(tokenizer.to_str())
    for added in entry["added_tokens"]:
        added["special"] = added["content"] in SPECIAL
    return Tokenizer.from_str(json.dumps(entry))


class Renderer:
    """Writes conversations as the engines do."""

    def __init__(self, template: str) -> None:
        environment = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 - a prompt, not a page
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(template)

    def prompt(self, example: Example) -> str:
        """Everything up to the answer."""
        if example.messages[0]["role"] == "raw":
            return str(example.messages[0]["content"])
        return self._template.render(
            messages=example.messages,
            tools=example.tools or None,
            add_generation_prompt=True,
            enable_thinking=example.thinking,
        )

    def pieces(self, example: Example) -> list[tuple[str, bool]]:
        """The whole conversation in pieces, each with whether it is to be learned; the last piece is the answer."""
        prompt = self.prompt(example)
        pieces = []
        done = 0
        for match, learned in zip(_ASSISTANT.finditer(prompt), example.learned, strict=False):
            if learned:
                pieces += [(prompt[done : match.start(1)], False), (match.group(1), True)]
                done = match.end(1)
        return [*pieces, (prompt[done:], False), (example.answer + END, True)]


def encode(tokenizer: Tokenizer, pieces: list[tuple[str, bool]]) -> tuple[list[int], list[float]]:
    """Token ids, and for each the weight of learning it: 0 for a prompt, for an answer 1/sqrt(length).

    So long answers count for more than short ones, but not in proportion.
    """
    ids: list[int] = []
    weights: list[float] = []
    for text, learned in pieces:
        tokens = tokenizer.encode(text).ids
        ids += tokens
        weights += [len(tokens) ** -0.5 if learned else 0.0] * len(tokens)
    return ids, weights
