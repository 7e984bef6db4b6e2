"""Tool calls: the methods that llama-index-core's agents and `chat_with_tools` use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

from llamaindex_xinference_bridge._tools import offered_alone, selections_from_response, tool_keywords

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import LLMMetadata


class ToolCalling(FunctionCallingLLM):
    """Offers tools to the model, reads its calls, and runs only those that were offered."""

    if TYPE_CHECKING:
        model_uid: str

        async def aprepare(self) -> LLMMetadata: ...

    def _prepare_chat_with_tools(  # noqa: PLR0917 - as llama-index-core calls it
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 - llama-index-core does the printing
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        keywords = tool_keywords(
            tools,
            user_msg,
            chat_history,
            allow_parallel_tool_calls=allow_parallel_tool_calls,
            tool_required=tool_required,
            tool_choice=tool_choice,
        )
        return {**keywords, **kwargs}

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,  # noqa: ARG002
    ) -> list[ToolSelection]:
        """Return the tool calls of an answer.

        Args:
            response: An answer of this model.
            error_on_no_tool_call: Whether an answer without a tool call raises, or with one that cannot be carried out.
            **kwargs: Not used.

        Returns:
            One selection per call, in the model's order. A call whose arguments cannot be read names no tool, so that
            an agent does not carry it out, and tells the model why.

        Raises:
            ValueError: The answer has no tool call.
            XinferenceUnsupportedError: A call cannot be carried out: it was cut off, or its arguments are not JSON.
        """
        selections = selections_from_response(response, refuse=error_on_no_tool_call)
        if not selections and error_on_no_tool_call:
            words = (response.message.content or "")[:200]
            msg = f"Expected a tool call, but {self.model_uid!r} answered in text: {words!r}"
            raise ValueError(msg)
        return selections

    def predict_and_call(  # noqa: PLR0917 - as in llama-index-core
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Run the tool calls that the model makes, and return the results.

        Args:
            tools: The tools on offer.
            user_msg: The question.
            chat_history: The conversation before it.
            verbose: Whether each call is printed.
            allow_parallel_tool_calls: Whether one answer may have several calls.
            error_on_no_tool_call: Whether an answer without a tool call raises.
            error_on_tool_error: Whether an error of a tool raises; else it is the tool's answer.
            **kwargs: Parameters of this call, as for `chat`.

        Returns:
            What the tools said, with their outputs as `sources`.

        Raises:
            ValueError: The answer has no tool call.
            XinferenceUnsupportedError: A call cannot be carried out: it was cut off, its arguments are not JSON, or it
                names a tool that was not offered.
            XinferenceError: The request failed.
        """
        with offered_alone(tools):
            return super().predict_and_call(
                tools,
                user_msg,
                chat_history,
                verbose,
                allow_parallel_tool_calls,
                error_on_no_tool_call,
                error_on_tool_error,
                **kwargs,
            )

    async def apredict_and_call(  # noqa: PLR0917 - as in llama-index-core
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Async version of `predict_and_call`."""
        await self.aprepare()  # llama-index-core reads `metadata` in it, inside the event loop
        with offered_alone(tools):
            return await super().apredict_and_call(
                tools,
                user_msg,
                chat_history,
                verbose,
                allow_parallel_tool_calls,
                error_on_no_tool_call,
                error_on_tool_error,
                **kwargs,
            )
