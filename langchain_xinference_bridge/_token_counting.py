"""How many tokens a text or a conversation has: counted by the server where its engine counts, else estimated."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from langchain_xinference_bridge._messages import messages_to_wire
from langchain_xinference_bridge._tools import ToolLike, tools_to_wire
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.errors import XinferenceBadRequestError, XinferenceError, XinferenceUnsupportedError
from xinference_bridge.models.chat import ChatHandle

if TYPE_CHECKING:
    from langchain_xinference_bridge._base import Handle


_NOT_COUNTED = (XinferenceBadRequestError, XinferenceUnsupportedError)


class EstimateWarning(UserWarning):
    """A number of tokens is an estimate, because the server did not count them; it says why."""


class TokenCounting(BaseLanguageModel[Any]):
    """Counts without ever downloading a tokenizer, which LangChain's own way would."""

    if TYPE_CHECKING:

        def _handle(self, kind: type[Handle], uid: str | None = None) -> Handle: ...

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[ToolLike] | None = None
    ) -> int:
        """The tokens that these messages and tools are as a prompt, the template's own included.

        Exact on transformers, vLLM and SGLang, whose server counts; system messages alone are counted with an empty
        question. Elsewhere, and with pictures or sounds, an estimate of four characters a token, said by an
        EstimateWarning. `custom_get_token_ids`, where it is given, comes before both.

        >>> from langchain_core.messages import HumanMessage
        >>> from langchain_xinference_bridge import ChatXinference
        >>> ChatXinference(model="tiny-chat-hf").get_num_tokens_from_messages([HumanMessage("Hello")]) > 5
        True
        """
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(list(messages), tools)
        if not messages and not tools:
            return 0
        with translated_errors:
            wire = tools_to_wire(tools or ())
            try:
                return self._handle(ChatHandle).count_tokens(messages_to_wire(messages), wire)
            except _NOT_COUNTED as why:
                _warn(why)
        return count_tokens_approximately(messages) + len(str(wire)) // 4 * bool(wire)

    def get_num_tokens(self, text: str) -> int:
        """The tokens of this text alone; exact or estimated as for messages.

        >>> from langchain_xinference_bridge import ChatXinference
        >>> ChatXinference(model="tiny-chat-hf").get_num_tokens("Hello") > 0
        True
        """
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        with translated_errors:
            try:
                chat = self._handle(ChatHandle)
                with_text = chat.count_tokens(messages_to_wire([HumanMessage(text)]))
                return with_text - chat.count_tokens(messages_to_wire([HumanMessage("")]))
            except _NOT_COUNTED as why:
                _warn(why)
        return -(-len(text) // 4)

    def get_token_ids(self, text: str) -> list[int]:
        """The ids that `custom_get_token_ids` gives: the server tells none.

        Raises XinferenceUnsupportedError without it.

        >>> from langchain_xinference_bridge import ChatXinference
        >>> ChatXinference(model="m", custom_get_token_ids=lambda text: [*map(ord, text)]).get_token_ids("a")
        [97]
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        msg = (
            "A Xinference server tells no token ids: give custom_get_token_ids=, or ask get_num_tokens for the number."
        )
        with translated_errors:
            raise XinferenceUnsupportedError(msg)


def _warn(why: XinferenceError) -> None:
    warnings.warn(f"The number of tokens is an estimate: {why.message}", EstimateWarning, stacklevel=3)
