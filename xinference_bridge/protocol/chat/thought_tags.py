"""The tags of reasoning by model family. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from xinference_bridge.protocol.chat.channels import BEGINNINGS as CHANNEL_BEGINNINGS
from xinference_bridge.protocol.families import REASONING_TAGS


@dataclass(frozen=True)
class ThoughtTags:
    """How a family marks its reasoning: `dropped` are tags of the answer, which are no words of it."""

    openers: tuple[str, ...]
    closers: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    find_closer: re.Pattern[str] = field(init=False)
    find_either: re.Pattern[str] = field(init=False)
    find_dropped: re.Pattern[str] | None = field(init=False)

    def __post_init__(self) -> None:
        """Compile what is looked for."""
        object.__setattr__(self, "find_closer", _any_of(self.closers))
        object.__setattr__(self, "find_either", _any_of((*self.openers, *self.closers)))
        object.__setattr__(self, "find_dropped", _any_of(self.dropped) if self.dropped else None)


def _any_of(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))))


_KIMI_DROPPED = ("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>")


@lru_cache(maxsize=64)
def thought_tags(family: str | None) -> ThoughtTags:
    """Return the tags of a family; `<think>` and `</think>` where it is not known."""
    opener, closer = REASONING_TAGS.get(family or "", ("<think>", "</think>"))
    return ThoughtTags((opener,), (closer,), _KIMI_DROPPED if family == "Kimi-K3" else ())


#: Any tag of any family, but for the bare words that gpt-oss writes.
ANY_TAG = _any_of(
    (*{tag for tags in REASONING_TAGS.values() for tag in tags if not tag.isalpha()}, *CHANNEL_BEGINNINGS)
)
