"""The goals: the maximum time of each kind of work, as ratios measured in one run."""

from __future__ import annotations

from dataclasses import dataclass

FLOOR = "floor"
OPENAI = "langchain-openai"
OPENAI_LIKE = "llama-index openai-like"
OLD = "langchain-xinference 0.1.2"
LISTS = "raw requests, lists"


@dataclass(frozen=True, slots=True)
class Goal:
    """The maximum of ours / theirs. `against` is one of the names above."""

    work: str
    against: str
    at_most: float


INVOKE = "LangChain invoke"
STREAM = "LangChain stream of 3,000 chunks"
AINVOKE = "LangChain 300 concurrent ainvoke"
ASTREAM = "LangChain astream of 3,000 chunks"
EMBED = "LangChain embed 2,048 texts × 1,024 dimensions"
ARRAY = "LangChain embed_array of 2,048 texts × 1,024 dimensions"
LLAMA_EMBED = "LlamaIndex embed 2,048 texts × 1,024 dimensions"
COMPLETE = "LlamaIndex complete"
STREAM_CHAT = "LlamaIndex stream_chat of 3,000 chunks"

GOALS = (
    Goal(INVOKE, FLOOR, 1.2),
    Goal(INVOKE, OPENAI, 0.6),
    Goal(STREAM, FLOOR, 1.5),
    Goal(STREAM, OPENAI, 0.25),
    Goal(AINVOKE, FLOOR, 1.3),
    Goal(AINVOKE, OPENAI, 0.3),
    Goal(ASTREAM, OPENAI, 0.25),
    Goal(EMBED, FLOOR, 1.1),
    Goal(EMBED, OPENAI, 0.5),
    Goal(EMBED, OLD, 0.1),
    Goal(ARRAY, LISTS, 0.35),
    Goal(LLAMA_EMBED, OPENAI_LIKE, 0.55),
    Goal(COMPLETE, FLOOR, 1.25),
    Goal(COMPLETE, OPENAI_LIKE, 0.55),
    Goal(STREAM_CHAT, OPENAI_LIKE, 0.3),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A measured number with an absolute maximum."""

    what: str
    unit: str
    at_most: float


IMPORT = Bound("import langchain_xinference_bridge, beyond langchain-core", "s", 0.2)
BUILD = Bound("build a chat model (requests sent: none)", "ms", 1.0)
FIRST_TOKEN = Bound("a stream's piece reaches the caller after its bytes were sent", "ms", 1.0)
AFIRST_TOKEN = Bound("the same, awaited", "ms", 1.0)
MEMORY = Bound(
    "highest memory, texts 100,001 to 200,000 of a stream of embeddings, beyond that of the first half", "MB", 8.0
)
ARRAY_MEMORY = Bound("memory that an array of vectors of 20,000 texts adds, a number", "bytes", 5.0)

BOUNDS = (
    IMPORT,
    BUILD,
    FIRST_TOKEN,
    AFIRST_TOKEN,
    MEMORY,
    ARRAY_MEMORY,
)

TEXTS, CHUNKS, CALLERS = "texts to embed", "chunks of a stream", "concurrent callers"


@dataclass(frozen=True, slots=True)
class Growth:
    """The maximum factor by which our time grows with ten times the work."""

    kind: str
    small: int
    at_most: float = 10.5

    @property
    def what(self) -> str:
        """Return the name of the work in the results."""
        return f"{self.small:,} to {10 * self.small:,} {self.kind}"


#: Up to the sizes of the goals above, and ten times beyond them.
GROWTHS = (
    Growth(TEXTS, 2048),
    Growth(CHUNKS, 300),
    Growth(CHUNKS, 3000),
    Growth(CALLERS, 30),
    Growth(CALLERS, 100),
)
