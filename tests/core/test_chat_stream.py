"""The parser of chat answers, with every form in which servers write them."""

from __future__ import annotations

import contextlib
import itertools
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinference_bridge.errors import XinferenceProtocolError, XinferenceStreamError
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.result import Usage
from xinference_bridge.protocol.completion import completion_result_from_wire

if TYPE_CHECKING:
    from xinference_bridge.protocol.chat.tags import Start

from tests.core.chunks import CALL, body, chunk, final, say, stream

# --- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, ""])
def test_the_first_delta_may_hold_no_content(content: str | None) -> None:
    deltas, result = stream([chunk({"role": "assistant", "content": content}), *say("Par", "is.")])
    assert [delta.text for delta in deltas] == ["Par", "is.", ""]
    assert result.text == "Paris."


@pytest.mark.parametrize("delta", [{}, None, {"role": "assistant"}, {"content": None, "refusal": "no", "audio": 1}])
def test_a_delta_may_hold_nothing_to_tell(delta: dict[str, Any] | None) -> None:
    assert ChatAccumulator(tools=True).feed(chunk(delta)) is None


def test_a_delta_may_be_missing() -> None:
    reader = ChatAccumulator(tools=True)
    assert reader.feed({"choices": [{"index": 0, "finish_reason": "stop"}]}) is None
    assert reader.feed({"choices": [{}]}) is None
    assert reader.finish().final is not None


def test_the_last_newline_of_an_answer_is_kept() -> None:
    deltas, result = stream(say("Paris.", "\n"), tools=True)
    assert result.text == "Paris.\n"
    assert deltas[-1].text == "\n"


def test_other_choices_than_the_first_are_not_read() -> None:
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}
    event = {"choices": [other, {"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}
    result = final([event, {"choices": [other]}])
    assert (result.text, result.finish_reason) == ("yes", "stop")


# --- metadata ---------------------------------------------------------------------------------------------------


def test_llama_cpp_sends_the_usage_in_a_last_chunk_without_choices() -> None:
    usage = {
        "prompt_tokens": 27,
        "completion_tokens": 3,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 26},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    last = {"id": "chatcmpl-1", "choices": [], "usage": usage, "timings": {"prompt_n": 1}, "created": 8}
    result = final([*say("Paris."), last])
    assert result.usage == Usage(27, 3, 30, cached_tokens=26, reasoning_tokens=2)
    assert result.raw == {key: value for key, value in last.items() if key != "choices"}
    assert (result.id, result.created) == ("chatcmpl-1", 7)


def test_transformers_sends_the_usage_twice_and_a_second_finish_reason() -> None:
    usage = {"prompt_tokens": 27, "completion_tokens": 3, "total_tokens": 30}
    end = [chunk({"content": "."}, "length", usage=usage), chunk({"content": ""}, "stop", usage=usage)]
    result = final([chunk({"content": "Paris"}), *end])
    assert result.usage == Usage(27, 3, 30)
    assert result.finish_reason == "length"
    assert result.text == "Paris."


def test_the_last_usage_wins() -> None:
    usages = [{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n} for n in (1, 2, 3)]
    assert final([*(chunk({"content": "a"}, usage=usage) for usage in usages), *say()]).usage == Usage(5, 3, 8)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -1},
        {"prompt_tokens": 5, "completion_tokens": -1, "total_tokens": 4},
        {"prompt_tokens": None, "completion_tokens": 3},
        {"prompt_tokens": "5", "completion_tokens": True},
    ],
)
def test_a_usage_that_was_not_counted_is_none(usage: Any) -> None:
    assert final([chunk({"content": "a"}, "stop", usage=usage)]).usage is None
    counted = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": -1, "prompt_tokens_details": None}
    assert final([chunk({"content": "a"}, usage=counted), chunk({}, "stop", usage=usage)]).usage == Usage(5, 3, 8)


def test_a_usage_may_come_in_a_chunk_without_the_word_choices() -> None:
    assert final([*say("a"), {"usage": {"prompt_tokens": 5, "completion_tokens": 3}}]).usage == Usage(5, 3, 8)


def test_replica_and_fingerprint_are_told() -> None:
    result = final([chunk({}), chunk({}, "stop", model_replica="qwen3-0", system_fingerprint="b1-f00")])
    assert (result.model_replica, result.system_fingerprint) == ("qwen3-0", "b1-f00")
    assert final([chunk({}, "stop", model_replica=2)]).model_replica == 2
    assert final([{"id": 3, "choices": [{"finish_reason": "stop"}], "created": "x"}]).id is None


def test_logprobs_are_told_with_their_chunk_and_joined() -> None:
    first = {"id": 12, "token": "Par", "bytes": [80], "logprob": -0.1, "top_logprobs": []}
    second = {"id": 13, "token": "is", "bytes": [105], "logprob": -0.2, "top_logprobs": []}
    events = say("Par", "is")
    events[0]["choices"][0]["logprobs"] = {"content": [first]}
    events[1]["choices"][0]["logprobs"] = {"content": [second], "refusal": None}
    events[2]["choices"][0]["logprobs"] = {"content": None}
    deltas, result = stream(events)
    assert [delta.logprobs for delta in deltas] == [[first], [second], None]
    assert result.logprobs == [first, second]
    assert final(say("a")).logprobs is None


def test_logprobs_of_text_that_is_held_back_are_told_at_once() -> None:
    events = say("<", "b")
    events[0]["choices"][0]["logprobs"] = {"content": [{"token": "<", "logprob": 0.0}]}
    deltas, _ = stream(events)
    assert [(delta.text, len(delta.logprobs or [])) for delta in deltas] == [("", 1), ("<b", 0), ("", 0)]


# --- the end ----------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_is_an_error_with_the_text_so_far() -> None:
    reader = ChatAccumulator(tools=True)
    reader.feed(chunk({"content": "Paris "}))
    reader.feed(chunk({"content": "is <to"}))  # held back, since it could have become a tag
    with pytest.raises(XinferenceStreamError, match="12 characters") as caught:
        reader.finish()
    assert caught.value.partial_text == "Paris is <to"


def test_a_finish_reason_or_done_ends_a_stream() -> None:
    assert final(say("a")).finish_reason == "stop"
    reader = ChatAccumulator(tools=False)
    assert not reader.done
    reader.feed(chunk({"content": "a"}))
    reader.mark_done()
    assert reader.done
    result = reader.finish().final
    assert result is not None
    assert result.finish_reason is None


# --- reasoning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("start", ["text", "reasoning", "undecided"])
def test_reasoning_that_the_server_parsed_loses_the_white_space_by_its_tags_alone(key: str, start: Start) -> None:
    events = [
        chunk({"role": "assistant", "content": "", key: ""}),
        chunk({"content": None, key: "\nHm\n"}),
        chunk({key: " hm.\n"}),
        chunk({"content": "\n\nSay <think>x", key: None}),
        chunk({"content": "</think>\n"}, "stop"),
    ]
    deltas, result = stream(events, start=start)
    assert [delta.reasoning for delta in deltas][:2] == ["Hm", "\n hm."]
    assert (result.reasoning, result.text) == ("Hm\n hm.", "Say <think>x</think>\n")
    whole = chat_result_from_wire(
        body({key: "\nHm\n hm.\n", "content": "\n\nSay <think>x</think>\n"}), tools=False, start=start
    )
    assert (whole.reasoning, whole.text) == (result.reasoning, result.text)


def test_text_held_back_is_text_once_the_server_sends_reasoning() -> None:
    deltas, result = stream(
        [chunk({"content": "Hi"}), chunk({"reasoning_content": "Hm"}), *say(" all")], start="undecided"
    )
    assert (deltas[0].text, deltas[0].reasoning) == ("Hi", "Hm")
    assert result.text == "Hi all"


@pytest.mark.parametrize(
    ("text", "start", "reasoning", "answer"),
    [
        ("<think>\nHm.\n</think>\n\nParis.", "text", "Hm.", "Paris."),
        ("\nHm.\n</think>\n\nParis.", "reasoning", "Hm.", "Paris."),
        ("\nHm.\n</think>\n\nParis.", "undecided", "Hm.", "Paris."),
        ("\nHm.\n</think>\n\nParis.", "text", "", "\nHm.\n</think>\n\nParis."),
        ("Paris.\n", "undecided", "", "Paris.\n"),
        ("Hm. So", "reasoning", "Hm. So", "Hm. So"),
    ],
)
def test_reasoning_in_the_text_is_cut_out(text: str, start: Start, reasoning: str, answer: str) -> None:
    whole = chat_result_from_wire(body({"content": text}), tools=True, start=start)
    assert (whole.reasoning, whole.text) == (reasoning, answer)
    for one, two in itertools.combinations(range(len(text) + 1), 2):
        result = final(say(text[:one], text[one:two], text[two:]), tools=True, start=start)
        assert (result.reasoning, result.text) == (reasoning, answer)


# --- answers that were not streamed ------------------------------------------------------------------------------


def test_a_whole_answer_is_read_like_its_stream() -> None:
    usage = {"prompt_tokens": 27, "completion_tokens": 3, "total_tokens": 30}
    wire = body({"content": "Paris.", "tool_calls": None, "reasoning_content": None}, usage=usage, model_replica="m-1")
    before = json.dumps(wire)
    result = chat_result_from_wire(wire, tools=True)
    assert json.dumps(wire) == before
    assert result.raw == wire
    streamed = final([*say("Par", "is."), {"choices": [], "usage": usage, "model_replica": "m-1"}])
    streamed.raw = result.raw
    assert result == streamed


def test_results_are_picklable() -> None:
    result = chat_result_from_wire(body({"content": f"<tool_call>{CALL}</tool_call>"}), tools=True)
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_completion_is_text_as_the_model_wrote_it() -> None:
    events = [{"id": "c1", "choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in "<think>x\n"]
    events.append({"id": "c1", "choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    result = final(events, completion=True)
    assert (result.text, result.finish_reason, result.id) == ("<think>x\n", "length", "c1")
    wire = {"id": "c1", "choices": [{"index": 0, "text": "<think>x\n", "finish_reason": "length"}]}
    whole = completion_result_from_wire(wire)
    assert (whole.text, whole.finish_reason, whole.raw) == (result.text, "length", wire)


def test_the_logprobs_of_a_completion_have_the_shape_of_a_chat() -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0}], "text_offset": [0]}
    wire = {"choices": [{"index": 0, "text": "a", "finish_reason": "stop", "logprobs": logprobs}]}
    assert completion_result_from_wire(wire).logprobs == [
        {"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "a", "logprob": -1.0}]}
    ]


@pytest.mark.parametrize(
    "wire", [{}, [], "x", None, {"choices": None}, {"choices": []}, {"choices": [1]}, {"choices": [{"index": 1}]},
             {"choices": [{}]}, {"choices": [{"message": "hi"}]}, {"choices": [{"message": {"content": 3}}]},
             {"choices": [{"message": {"content": "a"}, "finish_reason": 3}]}]
)  # fmt: skip
def test_an_answer_of_another_shape_is_a_protocol_error(wire: Any) -> None:
    with pytest.raises(XinferenceProtocolError):
        chat_result_from_wire(wire, tools=True)
    with pytest.raises(XinferenceProtocolError):
        completion_result_from_wire(wire)


@pytest.mark.parametrize(
    "event",
    [
        [],
        None,
        "[DONE]",
        {"choices": {}},
        {"choices": [[]]},
        {"choices": [], "usage": [1]},
        {"choices": [{"delta": [1]}]},
        {"choices": [{"delta": ""}]},
        {"choices": [{"delta": {"content": ["a"]}}]},
        {"choices": [{"delta": {"content": 0}}]},
        {"choices": [{"delta": {"reasoning_content": 1}}]},
        {"choices": [{"delta": {"tool_calls": {"a": 1}}}]},
        {"choices": [{"delta": {"tool_calls": [None]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": "0"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"id": 3}]}}]},
        {"choices": [{"logprobs": [1]}]},
        {"choices": [{"logprobs": {"content": "x"}}]},
        {"choices": [{"logprobs": {"content": [1]}}]},
    ],
)
def test_a_chunk_of_another_shape_is_a_protocol_error(event: Any) -> None:
    with pytest.raises(XinferenceProtocolError, match="should be"):
        ChatAccumulator(tools=True).feed(event)


KEYS = st.sampled_from(
    ["choices", "delta", "content", "index", "finish_reason", "usage", "logprobs", "tool_calls", "function", "name",
     "arguments", "id", "reasoning_content", "prompt_tokens", "completion_tokens", "function_call", "text", "message"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["<think>", "<tool_call>{"]),
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
DELTAS = st.dictionaries(KEYS, JSON, max_size=4)
EVENTS = st.one_of(
    JSON,
    st.builds(chunk, DELTAS, st.sampled_from([None, "stop", "length"])),
    st.builds(lambda call: chunk({"tool_calls": [call]}), st.fixed_dictionaries({"function": DELTAS}) | DELTAS),
)


@pytest.mark.slow
@given(st.lists(EVENTS, max_size=6), st.booleans(), st.booleans())
def test_any_json_gives_deltas_or_a_protocol_error(events: list[Any], tools: bool, completion: bool) -> None:
    reader = ChatAccumulator(tools=tools, start="undecided", completion=completion)
    reader.mark_done()
    with contextlib.suppress(XinferenceProtocolError):
        for event in events:
            reader.feed(event)
        reader.finish()


@pytest.mark.slow
@given(JSON)
def test_any_json_is_an_answer_or_a_protocol_error(wire: Any) -> None:
    for read in (lambda: chat_result_from_wire(wire, tools=True), lambda: completion_result_from_wire(wire)):
        with contextlib.suppress(XinferenceProtocolError):
            read()


PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", CALL, "a", " ", "\n", "<", "{"]), max_size=12
)


@pytest.mark.slow
@given(
    PIECES,
    st.lists(st.integers(0, 200), max_size=6),
    st.booleans(),
    st.sampled_from(["text", "reasoning", "undecided"]),
)
def test_joined_deltas_equal_the_whole_answer(pieces: list[str], cuts: list[int], tools: bool, start: Start) -> None:
    text = "".join(pieces)
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    streamed = final(say(*(text[one:two] for one, two in itertools.pairwise(at))), tools=tools, start=start)
    whole = chat_result_from_wire(body({"content": text}), tools=tools, start=start)
    streamed.raw = whole.raw
    assert streamed == whole
