"""One scenario through both bridges on one connection and one exchange: the same request, the same answer.

The first bridge asks the server; an equal request of the second gets what the server said to the first. So a bridge
that asks in other words is found by the exchange that is one too many.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock, ToolCallBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import BaseModel

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings
from langchain_xinference_bridge import XinferenceRerank as LangChainRerank
from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM
from llamaindex_xinference_bridge import XinferenceRerank as LlamaIndexRerank
from xinference_bridge import XinferenceConnection, XinferenceError
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.client.transport.requests_transport import RequestsTransport


def tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    """A tool as both frameworks take it: made by each from a function, its description would differ."""
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in parameters.items()},
        "required": list(parameters),
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


WEATHER = tool("get_weather", "Get the weather for a city.", city="string")
MULTIPLY = tool("multiply", "Multiply two numbers.", a="number", b="number")
ADD = tool("add", "Add two numbers.", a="number", b="number")


@dataclass(frozen=True)
class Results:
    """What the tools answered to the calls of the last answer, in their order."""

    of_calls: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """What is said to a model, turn by turn, and how."""

    uid: str
    turns: Sequence[str | Results]
    system: str | None = None
    tools: Sequence[dict[str, Any]] = ()
    tool_choice: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


CHATS = ("tiny-chat", "tiny-chat-hf")
THINKERS = ("tiny-think", "tiny-think-hf", "tiny-think-raw")
SUNNY = Results(("It's sunny.",))
SCENARIOS = {
    "words": lambda uid: Scenario(uid, ["Name three colors."]),
    "bytes": lambda uid: Scenario(uid, ["Answer with emoji."]),
    "memory": lambda uid: Scenario(uid, ["My name is Ada.", "What is my name?"]),
    "system": lambda uid: Scenario(uid, ["Hello"], system="You talk like a pirate."),
    "cut": lambda uid: Scenario(uid, ["Count from 1 to 10."], parameters={"max_tokens": 5}),
    "stop": lambda uid: Scenario(uid, ["Count from 1 to 10."], parameters={"stop": [", 4"]}),
    "call": lambda uid: Scenario(uid, ["What is the weather in Paris?", SUNNY], tools=[WEATHER]),
    "calls": lambda uid: Scenario(
        uid, ["What is the weather in Paris and in London?", Results(("sunny", "rain"))], tools=[WEATHER]
    ),
    "steps": lambda uid: Scenario(
        uid, ["What is 20 + (2 * 4)?", Results(("8",)), Results(("28",))], tools=[ADD, MULTIPLY]
    ),
    "no call": lambda uid: Scenario(uid, ["Hello"], tools=[WEATHER]),
    "none": lambda uid: Scenario(uid, ["What is the weather in Paris?"], tools=[WEATHER], tool_choice="none"),
}
ON_LLAMA_CPP = {
    "named": Scenario("tiny-chat", ["What is 3 times 4?"], tools=[WEATHER, MULTIPLY], tool_choice="multiply"),
    "required": Scenario("tiny-chat", ["What is the weather in Paris?"], tools=[WEATHER], tool_choice="required"),
}
THOUGHTS = {
    "thought": lambda uid: Scenario(uid, ["Which is larger, 9.9 or 9.11?"]),
    "thoughts": lambda uid: Scenario(uid, ["My name is Ada.", "What is my name?"]),
    "off": lambda uid: Scenario(uid, ["What is 2 + 2?"], parameters={"enable_thinking": False}),
    "thought call": lambda uid: Scenario(uid, ["What is 3 times 4?"], tools=[MULTIPLY]),
}
CASES = [
    *(pytest.param(make(uid), id=f"{uid}-{name}") for uid in CHATS for name, make in SCENARIOS.items()),
    *(pytest.param(scenario, id=f"tiny-chat-{name}") for name, scenario in ON_LLAMA_CPP.items()),
    *(pytest.param(make(uid), id=f"{uid}-{name}") for uid in THINKERS for name, make in THOUGHTS.items()),
]


@dataclass
class Said:
    """What both frameworks can say of an answer."""

    text: str
    reasoning: str
    calls: list[tuple[str, str, Any]]
    tokens: tuple[int, int, int] | None
    finish_reason: str | None


class InLangChain:
    """A scenario, asked through LangChain."""

    def __init__(self, scenario: Scenario, connection: XinferenceConnection) -> None:
        model = ChatXinference(
            model_uid=scenario.uid,
            connection=connection,
            **{"temperature": 0, "max_tokens": 200, **scenario.parameters},
        )
        self._model: Any = (
            model.bind_tools(scenario.tools, tool_choice=scenario.tool_choice) if scenario.tools else model
        )
        self._history: list[BaseMessage] = [SystemMessage(scenario.system)] if scenario.system else []

    def take(self, turn: str | Results, streamed: bool) -> Said:
        if isinstance(turn, Results):
            last = self._history[-1]
            assert isinstance(last, AIMessage)
            assert len(last.tool_calls) == len(turn.of_calls)
            self._history += [
                ToolMessage(text, tool_call_id=call["id"])
                for call, text in zip(last.tool_calls, turn.of_calls, strict=True)
            ]
        else:
            self._history.append(HumanMessage(turn))
        answer = self._streamed() if streamed else self._model.invoke(self._history)
        self._history.append(answer)
        usage = answer.usage_metadata
        return Said(
            text=answer.text,
            reasoning=answer.additional_kwargs.get("reasoning_content", ""),
            calls=[(call["id"] or "", call["name"], call["args"]) for call in answer.tool_calls],
            tokens=usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]),
            finish_reason=answer.response_metadata.get("finish_reason"),
        )

    def _streamed(self) -> AIMessage:
        first, *rest = self._model.stream(self._history)
        whole = first + rest
        assert isinstance(whole, AIMessageChunk)
        return AIMessage(**whole.model_dump(exclude={"type", "tool_call_chunks", "chunk_position"}))


class InLlamaIndex:
    """The same scenario, asked through LlamaIndex."""

    def __init__(self, scenario: Scenario, connection: XinferenceConnection) -> None:
        self._llm = XinferenceLLM(
            model_uid=scenario.uid,
            connection=connection,
            **{"temperature": 0, "max_tokens": 200, **scenario.parameters},
        )
        self._keywords: dict[str, Any] = {"tools": scenario.tools} if scenario.tools else {}
        if scenario.tool_choice is not None:
            self._keywords["tool_choice"] = scenario.tool_choice
        self._history = [ChatMessage(role="system", content=scenario.system)] if scenario.system else []

    def take(self, turn: str | Results, streamed: bool) -> Said:
        if isinstance(turn, Results):
            calls = [block for block in self._history[-1].blocks if isinstance(block, ToolCallBlock)]
            self._history += [
                ChatMessage(role="tool", content=text, additional_kwargs={"tool_call_id": call.tool_call_id})
                for call, text in zip(calls, turn.of_calls, strict=True)
            ]
        else:
            self._history.append(ChatMessage(role="user", content=turn))
        response: ChatResponse
        if streamed:
            *_, response = self._llm.stream_chat(self._history, **self._keywords)
        else:
            response = self._llm.chat(self._history, **self._keywords)
        message, told = response.message, response.additional_kwargs
        self._history.append(message)
        return Said(
            text=message.content or "",
            reasoning="".join(block.content or "" for block in message.blocks if isinstance(block, ThinkingBlock)),
            calls=[
                (block.tool_call_id or "", block.tool_name, block.tool_kwargs)
                for block in message.blocks
                if isinstance(block, ToolCallBlock)
            ],
            tokens=(told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]),
            finish_reason=told["finish_reason"],
        )


@pytest.fixture
def connection(lab):
    clients.close_all()  # otherwise the description of a model from another test module would be cached
    gates.reset()
    yield XinferenceConnection(lab.url, api_key=lab.api_key)
    clients.close_all()
    gates.reset()


class Replayed:
    """A stream that was read to its end, played once more."""

    def __init__(self, stream: Any, chunks: list[bytes]) -> None:
        self.status, self.headers, self.request_id = stream.status, stream.headers, stream.request_id
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def finish(self, chunks: Iterator[bytes]) -> None:
        """Nothing follows."""

    def close(self) -> None:
        """No socket is open."""


@pytest.fixture
def exchanges(monkeypatch) -> list[bytes]:
    """What was really asked, in order; an equal request is answered by what the server said the first time."""
    answers: dict[bytes, Any] = {}
    asked: list[bytes] = []
    send, stream = RequestsTransport.send, RequestsTransport.stream

    def key(request: Any) -> bytes:
        return orjson.dumps([request.method, request.path, request.json])

    def _sent(self: Any, call: Any, authorization: Any) -> Any:
        # The transport reads a whole answer as a stream to its end, which must not be counted as a separate call.
        with monkeypatch.context() as within:
            within.setattr(RequestsTransport, "stream", stream)
            return send(self, call, authorization)

    def send_once(transport: RequestsTransport, call: Any, authorization: str | None) -> Any:
        if key(call.request) not in answers:
            asked.append(key(call.request))
            answers[key(call.request)] = _sent(transport, call, authorization)
        return answers[key(call.request)]

    def stream_once(transport: RequestsTransport, call: Any, authorization: str | None) -> Any:
        if key(call.request) not in answers:
            asked.append(key(call.request))
            opened = stream(transport, call, authorization)
            answers[key(call.request)] = Replayed(opened, list(opened))
            opened.close()
        return answers[key(call.request)]

    monkeypatch.setattr(RequestsTransport, "send", send_once)
    monkeypatch.setattr(RequestsTransport, "stream", stream_once)
    return asked


def chats(asked: Sequence[bytes]) -> int:
    """How many of the exchanges were turns of a chat."""
    return sum(b"/v1/chat/completions" in request for request in asked)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("scenario", CASES)
def test_both_bridges_ask_and_say_the_same(connection, exchanges, scenario, streamed):
    here, there = InLangChain(scenario, connection), InLlamaIndex(scenario, connection)
    for number, turn in enumerate(scenario.turns, start=1):
        assert there.take(turn, streamed) == here.take(turn, streamed)
        assert chats(exchanges) == number


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.server
@pytest.mark.parametrize("uid", CHATS)
def test_both_bridges_find_the_same_object(connection, uid):
    words = "Extract the person: Ada Lovelace was 36 years old."
    model = ChatXinference(model_uid=uid, connection=connection, temperature=0)
    llm = XinferenceLLM(model_uid=uid, connection=connection, temperature=0)
    expected = Person(name="Ada Lovelace", age=36)
    assert model.with_structured_output(Person).invoke(words) == expected
    assert llm.structured_predict(Person, PromptTemplate("{words}"), words=words) == expected


@pytest.mark.server
def test_both_bridges_embed_alike(connection, exchanges):
    texts = ["The lighthouse.", "Fish soup.", "Grüße, 世界 🚀"]
    here = XinferenceEmbeddings(model_uid="minilm", connection=connection)
    there = XinferenceEmbedding(model_uid="minilm", connection=connection)
    assert here.embed_documents(texts) == there.get_text_embedding_batch(texts)
    assert here.embed_query("soup") == there.get_query_embedding("soup")
    assert len(exchanges) == 2


@pytest.mark.server
def test_both_bridges_rank_alike(connection, exchanges):
    texts = ["The soup is made with cod.", "The lighthouse was built in 1872.", "The ferry takes 55 minutes."]
    here = LangChainRerank(model_uid="tiny-rerank", connection=connection, top_n=2)
    there = LlamaIndexRerank(model_uid="tiny-rerank", connection=connection, top_n=2)
    documents = here.compress_documents([Document(text) for text in texts], "When was it built?")
    nodes = there.postprocess_nodes(
        [NodeWithScore(node=TextNode(text=text)) for text in texts], query_str="When was it built?"
    )
    assert [document.page_content for document in documents] == [node.node.get_content() for node in nodes]
    assert [document.metadata["relevance_score"] for document in documents] == [node.score for node in nodes]
    assert len(exchanges) == 1


@pytest.mark.server
@pytest.mark.parametrize("uid", ["tiny-chatt", "minilm"])
def test_both_bridges_say_the_same_of_a_failure(connection, uid):
    failures = []
    for ask in (
        ChatXinference(model_uid=uid, connection=connection).invoke,
        XinferenceLLM(model_uid=uid, connection=connection).complete,
    ):
        with pytest.raises(XinferenceError) as caught:
            ask("Hello")
        failures.append(caught.value)
    langchain, llamaindex = failures
    assert isinstance(langchain, type(llamaindex))  # LangChain's are its own errors too
    assert langchain.model_uid == llamaindex.model_uid == uid
    # Which models could do it instead differs: a LlamaIndex LLM may be one that completes and does not chat.
    assert re.split(r"[;.] ", str(langchain))[0] == re.split(r"[;.] ", str(llamaindex))[0]


@pytest.mark.server
async def test_awaited_they_say_the_same_too(connection):
    model = ChatXinference(model_uid="tiny-chat", connection=connection, temperature=0)
    llm = XinferenceLLM(model_uid="tiny-chat", connection=connection, temperature=0)
    here, there = await asyncio.gather(model.ainvoke("Name three colors."), llm.acomplete("Name three colors."))
    assert here.text == there.text == "Red, green and blue."
