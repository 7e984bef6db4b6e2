"""Convert LangChain's messages to and from wire messages. Pure; the inputs do not change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import ToolCall as LangChainToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration
from langchain_core.outputs import ChatResult as LangChainResult

from langchain_xinference_bridge._content import parts_of, reasoning_of
from xinference_bridge.errors import XinferenceBadRequestError, XinferenceUnsupportedError
from xinference_bridge.integration.unvalidated import unchecked
from xinference_bridge.protocol.chat.messages import (
    WireMessage,
    WireToolCall,
    assistant_message,
    content_of_parts,
    tool_call_to_wire,
    tool_message,
    with_tool_names,
)
from xinference_bridge.protocol.chat.result import ChatResult, Usage
from xinference_bridge.protocol.chat.tool_calls import ToolCall
from xinference_bridge.protocol.exact_json import loads_exact

PROVIDER = "xinference"

# To the wire


def messages_to_wire(messages: Sequence[BaseMessage]) -> list[WireMessage]:
    """Convert the messages to wire messages, in order.

    Raises XinferenceUnsupportedError for a message or content block that cannot be sent.
    """
    return with_tool_names([message_to_wire(message) for message in messages])


def message_to_wire(message: BaseMessage) -> WireMessage:
    """Convert one message."""
    for kind, convert in _BY_CLASS:
        if isinstance(message, kind):
            return convert(message)
    msg = f"A message of type {message.type!r} ({type(message).__name__}) cannot be sent to a Xinference server."
    raise XinferenceUnsupportedError(msg)


def _plain(role: Any, message: BaseMessage) -> WireMessage:
    wire: WireMessage = {"role": role, "content": content_of_parts(parts_of(message))}
    if message.name is not None:
        wire["name"] = message.name
    return wire


def _answer(message: AIMessage) -> WireMessage:
    parts = parts_of(message)
    if any(part["type"] != "text" for part in parts):
        kinds = sorted({str(part["type"]) for part in parts} - {"text"})
        shown = ", ".join(map(repr, kinds))
        msg = f"An AIMessage with content of type {shown} cannot be sent: it must contain only text."
        raise XinferenceUnsupportedError(msg)
    # Text of one answer that was split into blocks is joined without separators.
    wire = assistant_message("".join(str(part["text"]) for part in parts), _calls_of(message), reasoning_of(message))
    if message.name is not None:
        wire["name"] = message.name
    return wire


def _calls_of(message: AIMessage) -> list[WireToolCall]:
    """Return all calls in order, including invalid ones, because a tool message answers each of them."""
    calls = [tool_call_to_wire(call.get("id") or "", call["name"], call["args"]) for call in message.tool_calls]
    return calls + [
        tool_call_to_wire(broken.get("id") or "", broken.get("name") or "", broken.get("args") or "")
        for broken in message.invalid_tool_calls
    ]


def _tool(message: ToolMessage) -> WireMessage:
    content = content_of_parts(parts_of(message))
    if message.status == "error" and isinstance(content, str) and "error" not in content.lower():
        # The wire format has no status, so the text must say that the tool failed.
        content = f"Error: {content}"
    wire = tool_message(content, message.tool_call_id)
    if message.name is not None:
        wire["name"] = message.name
    return wire


def _function(message: FunctionMessage) -> WireMessage:
    return {"role": "tool", "name": message.name, "tool_call_id": message.name, "content": _text_of(message)}


def _text_of(message: BaseMessage) -> str:
    content = content_of_parts(parts_of(message))
    if not isinstance(content, str):
        msg = f"A message of type {message.type!r} must contain only text."
        raise XinferenceUnsupportedError(msg)
    return content


_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}


def _with_role(message: ChatMessage) -> WireMessage:
    role = _ROLES.get(message.role.lower())
    if role is None:
        msg = f"ChatMessage(role={message.role!r}): the server supports the roles {', '.join(_ROLES)}."
        raise XinferenceBadRequestError(msg)
    return _plain(role, message)


_BY_CLASS: tuple[tuple[type[BaseMessage], Callable[[Any], WireMessage]], ...] = (
    (HumanMessage, lambda message: _plain("user", message)),
    (AIMessage, _answer),
    (ToolMessage, _tool),
    (SystemMessage, lambda message: _plain("system", message)),
    (FunctionMessage, _function),
    (ChatMessage, _with_role),
)

# From the wire


def message_from_wire(result: ChatResult, uid: str, *, blocks: bool = False) -> AIMessage:
    """Return the complete answer as a message, with reasoning and invalid tool calls in separate fields.

    With `blocks` (output version v1), its content is blocks, and the reasoning is only there.
    """
    message = _message(result, uid)
    if blocks:
        message.content = list(message.content_blocks)  # type: ignore[arg-type] # blocks are the dicts of a content
        message.additional_kwargs.pop("reasoning_content", None)
        message.response_metadata["output_version"] = "v1"
    return message


def result_from_wire(result: ChatResult, uid: str, *, blocks: bool = False, headers: bool = False) -> LangChainResult:
    """Return the complete answer as LangChain's `ChatResult`, with the response's `headers` if given."""
    message = message_from_wire(result, uid, blocks=blocks)
    if headers:
        message.response_metadata["headers"] = headers_from_wire(result)
    info = generation_info_from_wire(result)
    if isinstance(message.content, str):
        generation = unchecked(ChatGeneration, message=message, text=message.content, generation_info=info)
    else:
        generation = ChatGeneration(message=message, generation_info=info)
    return LangChainResult(generations=[generation], llm_output=llm_output_from_wire(result, uid))


def generation_info_from_wire(result: ChatResult) -> dict[str, Any]:
    """Return the finish reason and any log probabilities, as ChatOpenAI does."""
    info: dict[str, Any] = {"finish_reason": result.finish_reason}
    if result.logprobs:
        info["logprobs"] = {"content": result.logprobs}
    return info


def llm_output_from_wire(result: ChatResult, uid: str) -> dict[str, Any]:
    """Return the model and the token usage, under the names that tracing tools read."""
    output: dict[str, Any] = {"model_name": uid, "model_provider": PROVIDER}
    if result.id is not None:
        output["id"] = result.id
    if (usage := result.usage) is not None:
        output["token_usage"] = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }
        if usage.cached_tokens is not None:
            output["token_usage"]["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
        if usage.reasoning_tokens is not None:
            output["token_usage"]["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return output


def combined_llm_outputs(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return the output of several answers as one: the model, and the sum of the token usage, as ChatOpenAI does."""
    told = [output for output in outputs if output]
    combined: dict[str, Any] = {name: told[-1][name] for name in ("model_name", "model_provider") if told}
    used = [output["token_usage"] for output in told if "token_usage" in output]
    if used:
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        combined["token_usage"] = {name: sum(usage[name] for usage in used) for name in names}
    return combined


def headers_from_wire(result: ChatResult) -> dict[str, str]:
    """Return the headers of the response by lower-case names, as ChatOpenAI does."""
    return {name.lower(): value for name, value in result.headers.items()}


def _message(result: ChatResult, uid: str) -> AIMessage:
    calls, broken = tool_calls_from_wire(result.tool_calls)
    return unchecked(
        AIMessage,
        content=result.text,
        additional_kwargs={"reasoning_content": result.reasoning} if result.reasoning else {},
        tool_calls=calls,
        invalid_tool_calls=broken,
        usage_metadata=usage_from_wire(result.usage),
        response_metadata=metadata_from_wire(result, uid),
    )


def tool_calls_from_wire(wire: Sequence[ToolCall]) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    """Return the valid calls, and the invalid ones with the reason."""
    calls, broken = [], []
    for call in wire:
        if call.error is None:
            calls.append(tool_call(name=call.name, args=loads_exact(call.arguments), id=call.id))
        else:
            broken.append(invalid_tool_call(name=call.name or None, args=call.arguments, id=call.id, error=call.error))
    return calls, broken


def usage_from_wire(usage: Usage | None) -> UsageMetadata | None:
    """Return the server's token counts; None if there are none."""
    if usage is None:
        return None
    metadata: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        metadata["input_token_details"] = InputTokenDetails(cache_read=usage.cached_tokens)
    if usage.reasoning_tokens is not None:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return cast("UsageMetadata", metadata)


def metadata_from_wire(result: ChatResult, uid: str) -> dict[str, Any]:
    """Return the answer's metadata. `model_name` is the UID, because llama.cpp reports the path of its file."""
    stated = {
        "finish_reason": result.finish_reason,
        "model_name": uid,
        "model_provider": PROVIDER,
        "id": result.id,
        "request_id": result.request_id,
        "created": result.created,
        "model_replica": result.model_replica,
        "system_fingerprint": result.system_fingerprint,
        "logprobs": {"content": result.logprobs} if result.logprobs else None,
    }
    return {name: value for name, value in stated.items() if value is not None}
