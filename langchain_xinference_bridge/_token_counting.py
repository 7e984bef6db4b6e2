"""Token counts of texts and conversations: from the server if the engine counts, else estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

from langchain_xinference_bridge._messages import messages_to_wire
from langchain_xinference_bridge._tools import ToolLike, tools_to_wire
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.integration.token_counting import NOT_COUNTED, TextCounter, estimate_of, warn_of_estimate
from xinference_bridge.models.chat import ChatHandle

if TYPE_CHECKING:
    from langchain_xinference_bridge._base import Handle


class TokenCounting(BaseLanguageModel[Any]):
    """Token counting that never downloads a tokenizer, as LangChain's default does."""

    if TYPE_CHECKING:

        def _handle(self, kind: type[Handle], uid: str | None = None) -> Handle: ...

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[ToolLike] | None = None
    ) -> int:
        """Count the tokens of a prompt with these messages and tools, including the chat template.

        The count is exact on transformers, vLLM and SGLang. On other engines, and with images or audio, the
        count is an estimate of four characters per token, with an EstimateWarning. `custom_get_token_ids`
        takes precedence over both. If there are only system messages, an empty question is added.

        Args:
            messages: The conversation.
            tools: Tools in the forms that `bind_tools` takes.

        Returns:
            The number of tokens; 0 for no messages and no tools.

        Raises:
            XinferenceError: The request failed.

        Examples:
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
            except NOT_COUNTED as why:
                warn_of_estimate(why)
        return count_tokens_approximately(messages) + len(str(wire)) // 4 * bool(wire)

    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text, exactly or estimated, like `get_num_tokens_from_messages`.

        Args:
            text: The text.

        Returns:
            The number of tokens.

        Raises:
            XinferenceError: The request failed.

        Examples:
            >>> from langchain_xinference_bridge import ChatXinference
            >>> ChatXinference(model="tiny-chat-hf").get_num_tokens("Hello") > 0
            True
        """
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        with translated_errors:
            try:
                return TextCounter(self._handle(ChatHandle)).count(text)
            except NOT_COUNTED as why:
                warn_of_estimate(why)
        return estimate_of(text)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids from `custom_get_token_ids`. The server provides none.

        Args:
            text: The text.

        Returns:
            One id per token.

        Raises:
            XinferenceUnsupportedError: `custom_get_token_ids` is not set.

        Examples:
            >>> from langchain_xinference_bridge import ChatXinference
            >>> ChatXinference(model="m", custom_get_token_ids=lambda text: [*map(ord, text)]).get_token_ids("a")
            [97]
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        msg = (
            "A Xinference server provides no token ids: set custom_get_token_ids=, or use get_num_tokens for the count."
        )
        with translated_errors:
            raise XinferenceUnsupportedError(msg)
