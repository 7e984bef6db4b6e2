"""Stream a model's reasoning separately from its answer, then ask again with thinking turned off.

python examples/reasoning.py [UID]
"""

from __future__ import annotations

import sys

from langchain_xinference_bridge import ChatXinference
from xinference_bridge import XinferenceError

DIM, PLAIN = "\033[2m", "\033[0m"


def main(uid: str = "qwq", question: str = "Which is larger, 9.9 or 9.11?") -> None:
    """Ask with thinking, then without."""
    model = ChatXinference(model_uid=uid, temperature=0)
    dim, plain = (DIM, PLAIN) if sys.stdout.isatty() else ("(", ")")
    print(f"> {question}")
    thinking = False
    for chunk in model.stream(question):
        for block in chunk.content_blocks:
            if block["type"] == "reasoning":
                print(block["reasoning"] if thinking else dim + block["reasoning"], end="", flush=True)
                thinking = True
            elif block["type"] == "text":
                print(f"{plain}\n{block['text']}" if thinking else block["text"], end="", flush=True)
                thinking = False
    answer = model.invoke(question, enable_thinking=False)
    print(f"\nAt once: {answer.text}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:3])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
