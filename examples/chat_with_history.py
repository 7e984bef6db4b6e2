"""A chat with a history. It streams each answer and drops old turns before the context is full.

python examples/chat_with_history.py [UID]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately

from langchain_xinference_bridge import ChatXinference
from xinference_bridge import XinferenceError


class Chat:
    """One conversation with one model."""

    def __init__(self, model: ChatXinference) -> None:
        self._model = model
        self._history: list[BaseMessage] = []

    def say(self, words: str) -> None:
        """Stream the answer to the terminal and add both messages to the history."""
        self._history.append(HumanMessage(words))
        print(f"> {words}")
        answer = AIMessageChunk(content="")
        for chunk in self._model.stream(self._recent()):
            print(chunk.text, end="", flush=True)
            answer += chunk
        print()
        self._history.append(AIMessage(answer.text))

    def _recent(self) -> list[BaseMessage]:
        """Return as many of the last turns as fit into three quarters of the context."""
        context = (self._model.profile or {}).get("max_input_tokens") or 4096
        return trim_messages(
            self._history,
            max_tokens=context * 3 // 4,
            token_counter=count_tokens_approximately,
            strategy="last",
            start_on="human",
        )


def main(uid: str = "qwen3", turns: Iterable[str] = ("My name is Ada.", "What is my name?")) -> None:
    """Hold a short conversation."""
    chat = Chat(ChatXinference(model_uid=uid, temperature=0))
    for words in turns:
        chat.say(words)


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:2])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
