"""LangChain's machinery around a model: cache, rate limiter, fallbacks, retries, callbacks, batches."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from pydantic import BaseModel

from langchain_xinference_bridge.errors import XinferenceModelNotFoundError
from tests.langchain_bridge.conftest import chat_on

COLORS = "Red, green and blue."


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Told(BaseCallbackHandler):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.tokens: list[str] = []
        self.params: dict[str, Any] = {}

    def on_chat_model_start(self, serialized, messages, **kwargs):
        self.events.append("start")
        self.params = kwargs["invocation_params"]

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)

    def on_llm_end(self, response, **kwargs):
        self.events.append("end")

    def on_llm_error(self, error, **kwargs):
        self.events.append(type(error).__name__)


class AsyncTold(Told, AsyncCallbackHandler):
    async def on_chat_model_start(self, *args, **kwargs):
        Told.on_chat_model_start(self, *args, **kwargs)

    async def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)

    async def on_llm_end(self, response, **kwargs):
        self.events.append("end")

    async def on_llm_error(self, error, **kwargs):
        self.events.append(type(error).__name__)


@pytest.mark.server
def test_callbacks_hear_each_token_once(chat):
    told = Told()
    assert "".join(chunk.text for chunk in chat.stream("Name three colors.", {"callbacks": [told]})) == COLORS
    assert "".join(told.tokens) == COLORS
    assert told.events == ["start", "end"]
    assert told.params["temperature"] == 0


@pytest.mark.server
async def test_async_callbacks_hear_each_token_once(chat):
    told = AsyncTold()
    [_ async for _ in chat.astream("Name three colors.", {"callbacks": [told]})]
    assert "".join(told.tokens) == COLORS
    assert told.events == ["start", "end"]


@pytest.mark.server
def test_callbacks_hear_of_an_error_by_its_name(connection):
    told = Told()
    with pytest.raises(XinferenceModelNotFoundError):
        list(chat_on("nope", connection).stream("x", {"callbacks": [told]}))
    assert told.events == ["start", "XinferenceModelNotFoundError"]


@pytest.mark.server
def test_a_cache_answers_the_second_time(connection):
    cache = InMemoryCache()
    first = chat_on("tiny-chat", connection, cache=cache)
    assert first.invoke("Name three colors.").content == COLORS
    # One recorded exchange: the second answer comes from the cache, of an equal model too.
    assert chat_on("tiny-chat", connection, cache=cache).invoke("Name three colors.").content == COLORS
    assert len(cache._cache) == 1


@pytest.mark.server
def test_a_cache_tells_parameters_apart(connection):
    cache = InMemoryCache()
    chat_on("tiny-chat", connection, cache=cache).invoke("Count to 5.", max_tokens=2)
    chat_on("tiny-chat", connection, cache=cache).invoke("Count to 5.", max_tokens=3)
    assert len(cache._cache) == 2


@pytest.mark.server
def test_a_rate_limiter_is_asked_before_each_call(connection):
    class Counting(InMemoryRateLimiter):
        asked = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.asked += 1
            return True

    limiter = Counting()
    model = chat_on("tiny-chat", connection, rate_limiter=limiter)
    model.batch(["Hello", "Hello"])
    list(model.stream("Hello"))
    assert limiter.asked == 3


@pytest.mark.server
def test_a_fallback_takes_over_from_a_model_that_does_not_run(connection):
    model = chat_on("nope", connection).with_fallbacks([chat_on("tiny-chat", connection)])
    assert model.invoke("Name three colors.").content == COLORS
    assert "".join(chunk.text for chunk in model.stream("Name three colors.")) == COLORS


@pytest.mark.server
def test_retries_of_langchain_meet_langchains_errors(connection):
    model = chat_on("nope", connection).with_retry(
        retry_if_exception_type=(XinferenceModelNotFoundError,), stop_after_attempt=2, wait_exponential_jitter=False
    )
    with pytest.raises(XinferenceModelNotFoundError):
        model.invoke("x")


@pytest.mark.server
async def test_a_chain_streams_and_awaits(chat):
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | chat | StrOutputParser()
    question = {"question": "Name three colors."}
    assert chain.invoke(question) == await chain.ainvoke(question) == COLORS
    assert "".join(chain.stream(question)) == COLORS
    assert "".join([text async for text in chain.astream(question)]) == COLORS


@pytest.mark.slow
@pytest.mark.server
def test_a_batch_of_two_hundred_comes_back_in_order(connection):
    model = chat_on("tiny-chat", connection, max_tokens=12)
    questions = ["Name three colors.", "What is 2 + 2?"] * 100
    answers = model.batch(questions, {"max_concurrency": 16})
    assert [answer.content for answer in answers] == [COLORS, "2 + 2 is 4."] * 100


@pytest.mark.slow
@pytest.mark.server
async def test_an_async_batch_of_two_hundred_comes_back_in_order(connection):
    model = chat_on("tiny-chat", connection, max_tokens=12)
    questions = ["Name three colors.", "What is 2 + 2?"] * 100
    answers = await model.abatch(questions, {"max_concurrency": 32})
    assert [answer.content for answer in answers] == [COLORS, "2 + 2 is 4."] * 100


@pytest.mark.server
def test_one_model_serves_one_event_loop_after_another(connection):
    model = chat_on("tiny-chat", connection)
    for _ in range(3):
        assert asyncio.run(model.ainvoke("Name three colors.")).content == COLORS


@pytest.mark.server
async def test_a_stream_that_is_left_is_closed(chat):
    stream = chat.stream("Count from 1 to 10.")
    assert next(stream).text
    stream.close()
    astream = chat.astream("Count from 1 to 10.")
    assert (await anext(astream)).text
    await astream.aclose()


class _Starts(BaseCallbackHandler):
    """Records the metadata of a run when it starts."""

    def __init__(self):
        self.told = []

    def on_chat_model_start(self, serialized, messages, **told):
        self.told.append((serialized, told))


@pytest.mark.server
def test_a_structured_run_shows_its_schema_as_json(connection):
    starts = _Starts()
    asked = chat_on("tiny-chat", connection).with_structured_output(Person)
    assert asked.invoke("Ada Lovelace was 36 years old.", {"callbacks": [starts]}) == Person(
        name="Ada Lovelace", age=36
    )
    ((_, told),) = starts.told
    shown = json.loads(json.dumps(told["invocation_params"]))["structured_output"]
    assert (shown["name"], set(shown["schema"]["properties"])) == ("Person", {"name", "age"})


@pytest.mark.server
def test_a_run_says_its_model_where_tracing_tools_look(connection):
    starts = _Starts()
    chat = chat_on("tiny-chat", connection)
    answer = chat.generate([[HumanMessage("What is the capital of France?")]] * 2, callbacks=[starts])
    serialized, told = starts.told[0]
    assert serialized["kwargs"]["model"] == told["invocation_params"]["model"] == "tiny-chat"
    if hasattr(chat, "_add_version"):  # langchain-core is new enough to tell of versions
        assert "xinference-bridge" in chat.metadata["lc_versions"]
    usages = [generations[0].message.usage_metadata for generations in answer.generations]
    assert answer.llm_output["model_name"] == "tiny-chat"
    assert answer.llm_output["token_usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in usages)


@pytest.mark.server
async def test_the_headers_of_a_response_are_told_where_they_are_asked_for(connection):
    chat = chat_on("tiny-chat", connection, include_response_headers=True)
    question = "What is the capital of France?"
    streamed = [chunk for chunk in chat.stream(question) if chunk.response_metadata]
    awaited = [chunk async for chunk in chat.astream(question) if chunk.response_metadata]
    for answer in (chat.invoke(question), await chat.ainvoke(question), streamed[-1], awaited[-1]):
        assert "x-request-id" in answer.response_metadata["headers"]
    assert "headers" not in chat_on("tiny-chat", connection).invoke(question).response_metadata
