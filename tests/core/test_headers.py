"""Headers of a connection, a model and a call: where they are sent, their precedence, and the trace context."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings, XinferenceRerank
from langchain_xinference_bridge import XinferenceLLM as LangChainLLM
from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM
from llamaindex_xinference_bridge import XinferenceRerank as LlamaIndexRerank
from tests.core.asks import MODES, PATHS, ask, connection_to
from tests.support.fault_proxy import FaultServer
from xinference_bridge import XinferenceConfigurationError, XinferenceConnection
from xinference_bridge.connection_settings import CallOptions

LANGCHAIN = (ChatXinference, LangChainLLM, XinferenceEmbeddings, XinferenceRerank)
LLAMAINDEX = (XinferenceLLM, XinferenceEmbedding, LlamaIndexRerank)


def of_connection(model) -> dict[str, str]:
    connection = model._connection() if hasattr(model, "_connection") else model.connection
    return dict(connection.headers)


@pytest.mark.parametrize("kind", [*LANGCHAIN, *LLAMAINDEX])
@pytest.mark.parametrize("keyword", ["default_headers", "headers"])
def test_every_class_takes_headers_and_none_of_them_is_a_parameter_of_the_server(kind, keyword):
    connection = XinferenceConnection("http://host:1", headers={"X-Team": "a", "X-Kept": "yes"})
    model = kind(model="m", connection=connection, **{keyword: {"x-team": "b"}})
    assert of_connection(model) == {"x-team": "b", "X-Kept": "yes"}
    assert not model.model_kwargs
    assert "x-team" not in repr(model)
    alone = kind(model="m", **{keyword: {"X-Team": "c"}})
    assert of_connection(alone) == {"X-Team": "c"}


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_call_has_headers_of_its_own_which_win(server: FaultServer, mode: str):
    connection = connection_to(server, headers={"X-Team": "connection", "Authorization": "Basic abc"})
    ask(mode, connection, "chat", options=CallOptions(headers=(("x-team", "call"),)))
    (request,) = server.seen(PATHS["chat"])
    assert request.headers["x-team"] == "call"
    assert request.headers["authorization"] == "Basic abc"


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_extra_headers_of_a_langchain_call_are_sent_and_not_in_the_body(server: FaultServer, mode: str):
    chat = ChatXinference(model="tiny-chat", connection=connection_to(server))
    if mode == "sync":
        chat.invoke("Say hello.", extra_headers={"X-Call": "1"})
    else:
        asyncio.run(chat.ainvoke("Say hello.", extra_headers={"X-Call": "1"}))
    (request,) = server.seen(PATHS["chat"])
    assert request.headers["x-call"] == "1"
    assert b"extra_headers" not in request.body


@pytest.mark.parametrize(
    "headers",
    [
        "X-Call: 1",
        7,
        {"X Call": "1"},
        {"X-Call": "a\nb"},
        {"Content-Length": "3"},
        {"transfer-encoding": "chunked"},
        {"Expect": "100-continue"},
        {"Connection": "close"},
    ],
)
def test_headers_that_cannot_be_sent_are_named(headers):
    with pytest.raises(XinferenceConfigurationError, match="header"):
        ChatXinference(model="m").invoke("Hello", extra_headers=headers)
    with pytest.raises(XinferenceConfigurationError, match="header"):
        ChatXinference(model="m", default_headers=headers)


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ["chat", "stream", "embeddings"])
def test_the_trace_context_travels_with_every_request(server: FaultServer, mode: str, what: str):
    if what == "stream":
        from tests.core.asks import good

        server.on(PATHS["stream"], good("stream"))
    with TracerProvider().get_tracer("test").start_as_current_span("caller") as span:
        trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        ask(mode, connection_to(server), what)
    assert all(trace_id in request.headers["traceparent"] for request in server.requests)


@pytest.mark.fault_server
def test_without_a_span_there_is_no_trace_context(server: FaultServer):
    ask("sync", connection_to(server), "chat")
    assert not any("traceparent" in request.headers for request in server.requests)
