"""The language model on a real server: whole and streamed, sync and async, on both engines."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ThinkingBlock

from llamaindex_xinference_bridge import XinferenceLLM
from tests.llamaindex_bridge.test_messages import PNG
from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceConnectionError,
    XinferenceContextOverflowError,
    XinferenceModelNotFoundError,
    XinferenceModelTypeError,
    XinferenceUnsupportedError,
)

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
COUNT = "Count from 1 to 10."
TEN = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10."


def asked(*words):
    return [ChatMessage(role="user", content=word) for word in words]


@pytest.mark.server
def test_complete_answers_a_prompt_through_the_chat_endpoint(either_llm):
    answer = either_llm.complete(FRANCE)
    assert answer.text == str(answer) == PARIS
    assert answer.raw["object"] == "chat.completion"
    assert answer.additional_kwargs["finish_reason"] == "stop"
    assert answer.additional_kwargs["total_tokens"] == answer.raw["usage"]["total_tokens"] > 8
    assert "model_uid" not in answer.additional_kwargs


@pytest.mark.server
def test_chat_answers_to_the_whole_conversation(either_llm):
    built = ChatMessage(role="assistant", content="The lighthouse of Vardholm was built in 1872.")
    history = [*asked("When was the lighthouse of Vardholm built?"), built]
    answer = either_llm.chat([*history, *asked("Who is its keeper?")])
    assert answer.message.role == "assistant"
    assert answer.message.blocks == [TextBlock(text="The keeper of the lighthouse is Jonas Lindqvist.")]
    assert answer.additional_kwargs["prompt_tokens"] > 30


@pytest.mark.server
def test_the_server_s_words_survive_whatever_their_bytes(either_llm):
    answer = either_llm.complete("Answer with emoji.")
    assert answer.text == "Here you are: 😀 🎉 🚀 👩‍👩‍👧 ❤️ and 日本語 too."
    assert [r.text for r in either_llm.stream_complete("Answer with emoji.")][-1] == answer.text


@pytest.mark.server
def test_a_streamed_chat_is_the_whole_one(either_llm):
    whole = either_llm.chat(asked(COUNT))
    parts = list(either_llm.stream_chat(asked(COUNT)))
    assert len(parts) > 5
    assert "".join(part.delta for part in parts) == parts[-1].message.content == whole.message.content == TEN
    for before, after in itertools.pairwise(parts):
        assert after.message.content == before.message.content + after.delta
    told = parts[-1].additional_kwargs
    assert told["finish_reason"] == whole.additional_kwargs["finish_reason"] == "stop"
    assert told["prompt_tokens"] == whole.additional_kwargs["prompt_tokens"]
    assert parts[0].message.content != TEN  # what was given is not changed afterwards


@pytest.mark.server
def test_a_streamed_completion_is_the_whole_one(either_llm):
    parts = list(either_llm.stream_complete(COUNT))
    assert "".join(part.delta for part in parts) == parts[-1].text == either_llm.complete(COUNT).text == TEN
    assert parts[-1].additional_kwargs["finish_reason"] == "stop"


@pytest.mark.server
async def test_async_calls_return_the_same_as_sync_calls(either_llm):
    called = await asyncio.to_thread(either_llm.chat, asked(COUNT))
    awaited = await either_llm.achat(asked(COUNT))
    assert awaited.message == called.message
    assert (await either_llm.acomplete(COUNT)).text == TEN
    chat = [part async for part in await either_llm.astream_chat(asked(COUNT))]
    assert "".join(part.delta for part in chat) == chat[-1].message.content == TEN
    completion = [part async for part in await either_llm.astream_complete(COUNT)]
    assert "".join(part.delta for part in completion) == completion[-1].text == TEN
    assert chat[-1].additional_kwargs["finish_reason"] == completion[-1].additional_kwargs["finish_reason"] == "stop"


@pytest.mark.server
def test_one_model_serves_one_event_loop_after_another(llm):
    for _ in range(3):
        assert asyncio.run(llm.acomplete(FRANCE)).text == PARIS


@pytest.mark.server
async def test_many_calls_at_once_are_answered_each(llm):
    await llm.aprepare()
    questions = [FRANCE, COUNT] * 4
    answers = await asyncio.gather(*(llm.acomplete(question) for question in questions))
    assert [answer.text for answer in answers] == [PARIS, TEN] * 4


@pytest.mark.server
def test_parameters_of_a_call_come_before_the_model_s_and_none_unsets_nothing(either_llm):
    answer = either_llm.complete(COUNT, max_tokens=5)
    assert TEN.startswith(answer.text)
    assert answer.additional_kwargs["finish_reason"] == "length"
    assert either_llm.complete(COUNT, max_tokens=None).text == TEN  # the model's default, 120
    assert either_llm.complete(COUNT, stop=", 4").text == "1, 2, 3"


@pytest.mark.server
def test_a_stream_cut_at_max_tokens_says_so_once(either_llm):
    # The transformers engine streams finish_reason "length", then "stop".
    *_, last = either_llm.stream_chat(asked(COUNT), max_tokens=5)
    assert last.additional_kwargs["finish_reason"] == "length"
    assert last.additional_kwargs["completion_tokens"] == 5


@pytest.mark.server
def test_a_stream_left_early_leaves_the_model_usable(either_llm):
    stream = either_llm.stream_chat(asked("Write a long story about a lighthouse."))
    assert next(stream).delta
    stream.close()
    assert either_llm.complete(FRANCE).text == PARIS


@pytest.mark.server
def test_logprobs_name_the_candidates_of_each_token(llm):
    answer = llm.chat(asked(FRANCE), logprobs=True, top_logprobs=2)
    assert [place[0].token for place in answer.logprobs][:2] == ["The", " capital"]
    assert all(len(place) == 2 for place in answer.logprobs)
    assert all(place[0].logprob >= place[1].logprob for place in answer.logprobs)


@pytest.mark.server
def test_a_completion_model_continues_a_prompt_without_a_chat_template(llm):
    llm.is_chat_model = False  # what a base model is; the chat model was taught templates only
    answer = llm.complete("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n")
    assert answer.raw["object"] == "text_completion"
    assert answer.text.startswith(PARIS)
    llm.messages_to_prompt = lambda messages: (
        "".join(f"<|im_start|>{message.role.value}\n{message.content}<|im_end|>\n" for message in messages)
        + "<|im_start|>assistant\n"
    )
    assert llm.chat(asked(FRANCE)).message.content.startswith(PARIS)
    *_, last = llm.stream_chat(asked(FRANCE))
    assert last.message.content.startswith(PARIS)


# Reasoning


THOUGHT = "The user asks for a sum. Two and two make four."


@pytest.mark.server
@pytest.mark.parametrize("uid", ["tiny-think", "tiny-think-raw"])
def test_what_the_model_thinks_is_a_block_of_its_own(connection, uid):
    # tiny-think: the server parses it; tiny-think-raw: it comes as <think>…</think> in the text.
    llm = XinferenceLLM(uid, connection=connection, temperature=0)
    whole = llm.chat(asked("What is 2 + 2?"))
    thought, text = whole.message.blocks
    assert isinstance(thought, ThinkingBlock)
    assert (thought.content or "").strip() == THOUGHT  # parsed by the server, it keeps the line breaks around it
    assert text == TextBlock(text=whole.message.content)
    assert whole.message.content.strip() == "2 + 2 is 4."
    parts = list(llm.stream_chat(asked("What is 2 + 2?")))
    assert parts[-1].message == whole.message
    assert "".join(part.additional_kwargs.get("thinking_delta", "") for part in parts) == thought.content
    assert "".join(part.delta for part in parts) == whole.message.content
    completion = llm.complete("What is 2 + 2?")
    assert (completion.text, completion.additional_kwargs["reasoning"]) == (whole.message.content, thought.content)


@pytest.mark.server
async def test_thoughts_are_streamed_to_async_callers_too(connection):
    llm = XinferenceLLM("tiny-think", connection=connection, temperature=0)
    parts = [part async for part in await llm.astream_chat(asked("What is 2 + 2?"))]
    assert parts[-1].message.content.strip() == "2 + 2 is 4."
    assert "".join(part.additional_kwargs.get("thinking_delta", "") for part in parts).strip() == THOUGHT


@pytest.mark.server
def test_thinking_can_be_switched_off_and_false_is_not_unset(connection):
    llm = XinferenceLLM("tiny-think", connection=connection, temperature=0, enable_thinking=False)
    assert llm.chat(asked("What is 2 + 2?")).message.blocks == [TextBlock(text="2 + 2 is 4.")]
    assert isinstance(llm.chat(asked("What is 2 + 2?"), enable_thinking=True).message.blocks[0], ThinkingBlock)


@pytest.mark.server
def test_a_thought_in_the_history_is_sent_back(connection):
    llm = XinferenceLLM("tiny-think", connection=connection, temperature=0)
    first = llm.chat(asked("My name is Ada."))
    answer = llm.chat([*asked("My name is Ada."), first.message, *asked("What is my name?")])
    assert answer.message.content.strip() == "Your name is Ada."


# What goes wrong


@pytest.mark.server
def test_an_unknown_model_is_named_with_what_runs_instead(connection):
    with pytest.raises(
        XinferenceModelNotFoundError, match=r"No model 'tiny-chatt' runs at .*Running .*: tiny-chat"
    ) as caught:
        XinferenceLLM("tiny-chatt", connection=connection).complete("Hello")
    assert caught.value.model_uid == "tiny-chatt"


@pytest.mark.server
async def test_a_model_of_another_type_is_named_with_what_could_do_it(connection):
    llm = XinferenceLLM("minilm", connection=connection)
    for call in (llm.complete, llm.stream_complete):
        with pytest.raises(XinferenceModelTypeError, match=r"'minilm' .* is a model of type embedding"):
            list(call("Hello"))
    with pytest.raises(XinferenceModelTypeError, match="minilm"):
        await llm.acomplete("Hello")


@pytest.mark.server
def test_a_prompt_longer_than_the_context_is_refused_by_name_on_either_engine(either_llm):
    with pytest.raises(XinferenceContextOverflowError, match="4096"):
        either_llm.complete("lighthouse " * 5000)
    with pytest.raises(XinferenceContextOverflowError, match="4096"):
        list(either_llm.stream_complete("lighthouse " * 5000))


@pytest.mark.server
def test_an_image_for_a_model_that_only_reads_is_refused_by_name(either_llm):
    # transformers would drop it in silence, llama.cpp answer a 500.
    message = ChatMessage(blocks=[TextBlock(text="What is this?"), ImageBlock(image=PNG)])
    with pytest.raises(XinferenceUnsupportedError, match=r"cannot take a content block of type 'image_url'.*'vision'"):
        either_llm.chat([message])


def test_a_misspelt_parameter_of_a_call_is_an_error_before_anything_is_sent():
    llm = XinferenceLLM("m", "http://127.0.0.1:9", is_chat_model=True)
    with pytest.raises(XinferenceConfigurationError, match="no parameter 'temprature'; did you mean 'temperature'"):
        llm.complete("Hello", temprature=0)
    with pytest.raises(XinferenceBadRequestError, match="tool_choice='sum' must be"):
        llm.chat(asked("Hello"), tools=[], tool_choice="sum")


@pytest.mark.fault_server
def test_a_server_that_is_not_there_is_one_clear_error(unused_tcp_port):
    llm = XinferenceLLM("m", connection=XinferenceConnection(f"http://127.0.0.1:{unused_tcp_port}", max_retries=0))
    for call in (llm.complete, lambda prompt: list(llm.stream_complete(prompt))):
        with pytest.raises(XinferenceConnectionError, match=f"127.0.0.1:{unused_tcp_port}"):
            call("Hello")
    with contextlib.suppress(XinferenceConnectionError):
        _ = llm.metadata
        pytest.fail("metadata made something up")
