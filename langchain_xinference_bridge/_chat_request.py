"""Convert the keywords of a LangChain call to the core's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_xinference_bridge._base import taken_uid
from langchain_xinference_bridge._messages import messages_to_wire
from langchain_xinference_bridge._structured import STRUCTURED
from langchain_xinference_bridge._tools import choice_of_call, tools_to_wire
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.integration.inline_media import ainline_media, inline_media
from xinference_bridge.integration.parameters import CHAT, merged, options_from
from xinference_bridge.protocol.chat.messages import WireMessage
from xinference_bridge.protocol.chat.request import ChatCall

#: Keywords for LangChain itself, which are not sent to the server.
_LANGCHAINS_OWN = ("stream", "ls_structured_output_format", "structured_output_format")


@dataclass(slots=True)
class PreparedCall:
    """One call, ready for the core: model, request, timeouts."""

    uid: str
    call: ChatCall
    options: CallOptions
    stream_usage: bool

    def with_inlined_media(self, allowed: bool | tuple[str, ...] | None) -> PreparedCall:
        """Return the call with its files and private URLs inlined, if allowed; see `inline_media`."""
        return self._sending(inline_media(self.call.messages, allowed))

    async def awith_inlined_media(self, allowed: bool | tuple[str, ...] | None) -> PreparedCall:
        """Async version of `with_inlined_media`."""
        return self._sending(await ainline_media(self.call.messages, allowed))

    def _sending(self, messages: Sequence[WireMessage]) -> PreparedCall:
        return self if messages is self.call.messages else replace(self, call=replace(self.call, messages=messages))


def prepared(
    messages: Sequence[BaseMessage],
    *,
    uid: str,
    stated: Mapping[str, Any],
    stop: list[str] | None,
    keywords: Mapping[str, Any],
    stream_usage: bool,
    context_length: int | None = None,
) -> PreparedCall:
    """Return the call for these keywords, which override the model's settings.

    Raises XinferenceConfigurationError for a misspelled keyword, XinferenceUnsupportedError for a message that cannot
    be sent.
    """
    own = dict(keywords)
    for name in _LANGCHAINS_OWN:
        own.pop(name, None)
    given = own.pop("stream_usage", None)
    given_tools = own.pop("tools", None)
    tools = tools_to_wire(() if given_tools is None else given_tools)
    return PreparedCall(
        uid=taken_uid(own, uid),
        options=options_from(own, "ChatXinference"),
        stream_usage=stream_usage if given is None else bool(given),
        call=ChatCall(
            messages=messages_to_wire(messages),
            tools=tools,
            tool_choice=choice_of_call(own.pop("tool_choice", None), tools),
            structured=own.pop(STRUCTURED, None),
            context_length=context_length,
            parameters=merged(CHAT, stated, {"stop": stop}, own, where="ChatXinference"),
        ),
    )
