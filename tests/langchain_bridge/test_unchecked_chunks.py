"""A chunk of text is made without pydantic's validation: it must not be told from one that was validated."""

from __future__ import annotations

import copy
import pickle

from langchain_core.load import dumpd
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_xinference_bridge._chunks import ChunkWriter
from xinference_bridge.chat_stream import ChatDelta


def made(text: str) -> ChatGenerationChunk:
    (chunk,) = ChunkWriter("uid", blocks=False).chunks(ChatDelta(text))
    return chunk


def test_it_is_in_every_attribute_what_the_constructors_make():
    mine, theirs = made("Hello"), ChatGenerationChunk(message=AIMessageChunk(content="Hello"))
    for one, other in ((mine, theirs), (mine.message, theirs.message)):
        assert one == other
        assert one.__dict__ == other.__dict__
        assert list(one.__dict__) == list(other.__dict__)
        assert one.model_fields_set == other.model_fields_set
        assert one.__pydantic_extra__ == other.__pydantic_extra__
        assert one.__pydantic_private__ == other.__pydantic_private__
        assert repr(one) == repr(other)
    assert dumpd(mine) == dumpd(theirs)
    assert copy.deepcopy(mine) == pickle.loads(pickle.dumps(mine)) == theirs


def test_it_shares_nothing_that_can_be_changed_with_another():
    one, other = made("one").message, made("other").message
    shared = [
        name
        for name, value in one.__dict__.items()
        if isinstance(value, (dict, list, set)) and value is other.__dict__[name]
    ]
    assert shared == []
    one.additional_kwargs["mark"] = 1
    one.foreign = 2  # type: ignore[attr-defined]  # message classes take attributes beyond their fields
    assert made("third").message == AIMessageChunk(content="third")


def test_chunks_of_both_makings_join():
    joined = made("Hel") + ChatGenerationChunk(message=AIMessageChunk(content="lo", chunk_position="last"))
    assert joined.text == "Hello"
    assert joined.message.content == "Hello"
