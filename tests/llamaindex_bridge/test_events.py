"""What LlamaIndex's callbacks, events and token counters receive for a call."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler, TokenCountingHandler

from llamaindex_xinference_bridge import XinferenceLLM
from tests.llamaindex_bridge.listening import CountingLimiter, heard
from tests.llamaindex_bridge.tools import Person
from xinference_bridge import XinferenceModelNotFoundError

FRANCE = [ChatMessage(role="user", content="What is the capital of France?")]
PARIS = "The capital of France is Paris."


def names(events):
    return [type(event).__name__ for event in events if "InProgress" not in type(event).__name__]


@pytest.mark.server
async def test_each_call_begins_and_ends_once(llm):
    with heard() as events:
        llm.chat(FRANCE)
        await llm.achat(FRANCE)
        list(llm.stream_chat(FRANCE))
        async for _ in await llm.astream_chat(FRANCE):
            pass
    assert names(events) == ["LLMChatStartEvent", "LLMChatEndEvent"] * 4
    ends = [event for event in events if type(event).__name__ == "LLMChatEndEvent"]
    assert [end.response.message.content for end in ends] == [PARIS] * 4
    assert all(end.response.additional_kwargs["completion_tokens"] >= 7 for end in ends)


@pytest.mark.server
async def test_a_completion_is_told_as_one_though_it_goes_through_the_chat_endpoint(llm):
    with heard() as events:
        llm.complete("What is the capital of France?")
        async for _ in await llm.astream_complete("What is the capital of France?"):
            pass
    assert names(events) == ["LLMCompletionStartEvent", "LLMCompletionEndEvent"] * 2
    assert events[0].prompt == "What is the capital of France?"


@pytest.mark.server
def test_events_carry_neither_key_nor_a_question_to_the_server(connection, lab):
    llm = XinferenceLLM("tiny-chat", connection=connection, temperature=0)
    with heard() as events:
        llm.chat(FRANCE)
    # llama-index-core 0.14.22 and older know no `to_payload`.
    assert events[0].model_dict == (llm.to_payload() if hasattr(BaseLLM, "to_payload") else llm.to_dict())
    assert lab.api_key not in str(events[0].model_dict)


@pytest.mark.server
def test_a_structured_prediction_is_told_as_one(llm):
    from llama_index.core.prompts import PromptTemplate

    prompt = PromptTemplate("Extract the person: {sentence}")
    with heard() as events:
        llm.structured_predict(Person, prompt, sentence="Ada Lovelace was 36 years old.")
        list(llm.stream_structured_predict(Person, prompt, sentence="Ada Lovelace was 36 years old."))
    assert (
        names(events)
        == [
            "LLMStructuredPredictStartEvent",
            "LLMChatStartEvent",
            "LLMChatEndEvent",
            "LLMStructuredPredictEndEvent",
        ]
        * 2
    )


@pytest.mark.server
def test_callbacks_hear_of_calls_and_of_their_failures(connection):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([handler])
    llm = XinferenceLLM("tiny-chat", connection=connection, temperature=0, callback_manager=manager)
    llm.chat(FRANCE)
    list(llm.stream_chat(FRANCE))
    missing = XinferenceLLM("tiny-chatt", connection=connection, callback_manager=manager)
    with pytest.raises(XinferenceModelNotFoundError):
        missing.complete("Hello")
    first, second, failed = [pair[1].payload or {} for pair in handler.get_event_pairs(CBEventType.LLM)]
    assert [ended["response"].message.content for ended in (first, second)] == [PARIS, PARIS]
    assert isinstance(failed["exception"], XinferenceModelNotFoundError)


@pytest.mark.server
def test_the_token_counter_counts_what_the_server_counted(connection):
    counter = TokenCountingHandler(tokenizer=lambda _: pytest.fail("counted here instead"))
    llm = XinferenceLLM("tiny-chat", connection=connection, temperature=0, callback_manager=CallbackManager([counter]))
    usage = llm.chat(FRANCE).raw["usage"]
    assert counter.total_llm_token_count == usage["total_tokens"]
    list(llm.stream_chat(FRANCE))
    assert counter.total_llm_token_count == 2 * usage["total_tokens"]


@pytest.mark.server
async def test_the_rate_limiter_is_asked_once_for_each_call(connection):
    limiter = CountingLimiter()
    llm = XinferenceLLM("tiny-chat", connection=connection, temperature=0, rate_limiter=limiter)
    llm.chat(FRANCE)
    list(llm.stream_complete("What is the capital of France?"))
    await llm.acomplete("What is the capital of France?")
    async for _ in await llm.astream_chat(FRANCE):
        pass
    assert limiter.taken == 4
