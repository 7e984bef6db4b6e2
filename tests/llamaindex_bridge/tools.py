"""The tools of these tests. The lab's tiny model was trained on their names, parameters and descriptions."""

from __future__ import annotations

from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.tools import FunctionTool


def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return {"Paris": "sunny", "London": "rain"}.get(city, f"Error: unknown city '{city}'.")


def multiply(a: int, b: int) -> int:
    """Multiply two integers and return the result."""
    return a * b


def add(a: int, b: int) -> int:
    """Add two integers and return the result."""
    return a + b


WEATHER = FunctionTool.from_defaults(get_weather)
MULTIPLY = FunctionTool.from_defaults(multiply)
ADD = FunctionTool.from_defaults(add)


class Song(BaseModel):
    """Data model for a song."""

    title: str
    length_seconds: int


class Album(BaseModel):
    """Data model for an album."""

    name: str
    artist: str
    songs: list[Song]


ALBUM = Album(
    name="Blue Harbour",
    artist="The Lanterns",
    songs=[Song(title="Fog", length_seconds=180), Song(title="Tide", length_seconds=210)],
)


class Person(BaseModel):
    name: str
    age: int
