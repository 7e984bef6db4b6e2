"""Why a goal is missed where it is, and what was tried: by the name that RESULTS.md gives it."""

from __future__ import annotations

_BUSY = "The machine ran other programs during these runs, with a load of 3 to 5 on 2 cores."

REASONS: dict[str, str] = {
    "LangChain invoke, against langchain-openai": _BUSY
    + " In the runs where it is missed a call took several times its "
    "usual 0.7 ms: what was measured is the wait for a processor, the same for both. In processor time it is 0.49.",
    "import langchain_xinference_bridge, beyond langchain-core": _BUSY + " It was 0.067 s in the other run.",
    "LangChain 300 concurrent ainvoke, against floor": _BUSY + " In processor time it was between 1.32 and 1.45, with "
    "tenacity, the generators around each call and the slow comparison of settings already taken out (NOTES.md). What "
    "is left, about 58 µs of planning and reading an answer and 70 µs of the bridge's conversions, is spread over many "
    "small functions: usage, tool calls, reasoning and the engine's rules, which the floor does not have.",
    "10 times the chunks of a stream take": "LangChain keeps every chunk of a stream to join them at the end, and the "
    "garbage collector looks at all that are kept again and again: around the floor's bare call it grows as much or "
    "more. Our core alone grows in step.",
    "10 times the concurrent callers take": "Tasks, callbacks and messages of 1,000 callers at once are kept and "
    "looked at by the garbage collector; compare the floor's own growth.",
    "10 times the texts to embed take": "The vectors of 20,480 texts are 21 million Python floats, 670 MB, that the "
    "system has to hand out page by page; compare the floor's own growth. `embed_stream` keeps none of them.",
}
