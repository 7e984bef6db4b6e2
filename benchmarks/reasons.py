"""Why some goals are missed, and what was tried, by the name of the goal in RESULTS.md."""

from __future__ import annotations

_COLLECTOR = (
    "Python's cyclic garbage collector: turned off, the same work grows as the table says, and the floor, which is "
    "LangChain around a bare call, grows alike with it. "
)
_CALLERS = _COLLECTOR + "A caller makes about 145 objects that the collector counts, and the floor's makes 132."

REASONS: dict[str, str] = {
    "3,000 to 30,000 chunks of a stream": _COLLECTOR + "LangChain keeps every chunk until the stream ends, so that it "
    "goes through the objects of 30,000 in full three times, and through those of 3,000 never. Our core, which keeps "
    "none, stays below ten.",
    "2,048 to 20,480 texts to embed": _COLLECTOR + "It looks at each number of each vector that is young. The rest is "
    "new memory: 670 MB of Python's floats (NOTES.md).",
    "LangChain embed 2,048 texts × 1,024 dimensions, against langchain-openai": "By less than a hundredth, in one run "
    "of three. Two thirds of our time go into making the two million Python floats that LangChain asks for, and into "
    "Python's collector, which looks at each of them: 138 ms with it and 93 ms without, one request after another. The "
    "peer makes the same floats.",
    "LangChain 300 concurrent ainvoke, against floor": "Ours makes 1,338 function calls a call, the floor 950. The "
    "floor has no plan by the model's description, no budget of the whole call, no reader of the answer, and no "
    "`llm_output` and metadata for tracers. Both vary by a third from run to run with the garbage collector.",
    "30 to 300 concurrent callers": _CALLERS,
    "100 to 1,000 concurrent callers": _CALLERS,
}
