"""Why a goal is missed where it is, and what was tried: by the name that RESULTS.md gives it."""

from __future__ import annotations

_BUSY = "The machine ran other programs during these runs, with a load of 3 to 9 on 2 cores."
_OPEN = _BUSY + " Why it grows so is not established: measure again on a quiet machine before anything is changed."

REASONS: dict[str, str] = {
    "LangChain invoke, against langchain-openai": _BUSY + " In processor time it is 0.49.",
    "import langchain_xinference_bridge, beyond langchain-core": _BUSY + " It was 0.067 s and 0.129 s in other runs.",
    "LangChain 300 concurrent ainvoke, against floor": _BUSY + " In processor time it was between 1.32 and 1.45, with "
    "tenacity, the generators around each call and the slow comparison of settings already taken out (NOTES.md). What "
    "is left is spread over many small functions: usage, tool calls, reasoning and the engine's rules, which the floor "
    "does not have.",
    "10 times the chunks of a stream take": _OPEN,
    "10 times the concurrent callers take": _OPEN,
    "10 times the texts to embed take": _OPEN,
}
