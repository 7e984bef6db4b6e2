"""The parameters that a chat or completion model of either framework carries, each unset until it is stated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from xinference_bridge.integration.parameters import CHAT_ONLY, OPEN, SAMPLING, response_format_of
from xinference_bridge.protocol.http import JSON


def _as_response_format(value: Any) -> Any:
    return response_format_of(value) if isinstance(value, type) and issubclass(value, BaseModel) else value


ResponseFormat = Annotated[JSON, BeforeValidator(_as_response_format)]


class SamplingFields(BaseModel):
    """What a bridge's model takes at construction and at call time; None leaves it to the server's default."""

    temperature: float | None = None
    """0 for the most likely words, the same every time; higher for more surprise."""
    top_p: float | None = None
    """Choose among the likeliest tokens that together have this probability."""
    top_k: int | None = None
    """Choose among this many of the likeliest tokens."""
    min_p: float | None = None
    """Leave out tokens less likely than this part of the likeliest one."""
    max_tokens: int | None = None
    """How many tokens the answer has at most."""
    stop: str | list[str] | None = None
    """Texts that end the answer where they would come."""
    seed: int | None = None
    """The same seed draws the same tokens, where the engine honours it."""
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    """Above 1 discourages words that were there already."""
    logprobs: bool | int | None = None
    """Ask for the tokens' probabilities."""
    top_logprobs: int | None = None
    """How many likely tokens are told for each place; chat only."""
    lora_name: str | None = None
    """The adapter to answer with."""
    response_format: ResponseFormat | None = None
    """OpenAI's dict, or a pydantic class; `with_structured_output` picks what the engine enforces by itself."""
    enable_thinking: bool | None = None
    """Whether a hybrid model thinks before it answers."""
    chat_template_kwargs: JSON | None = None
    """What the model's chat template takes."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Whatever else goes into the request; of names that are known the values are checked."""
    generate_config: JSON | None = None
    """The older packages' name for `model_kwargs`."""
    extra_body: JSON | None = None
    """The OpenAI client's name for `model_kwargs`."""

    def stated_parameters(self) -> JSON:
        """What was stated at construction, by wire name, without what is unset."""
        mine = self.__dict__
        return {name: value for name in _names() if (value := mine[name]) is not None}


class RareSamplingKeywords(TypedDict, total=False):
    """The fields of `SamplingFields` as keywords, for type checkers, but for the two that everybody states."""

    top_p: float | None
    top_k: int | None
    min_p: float | None
    stop: str | list[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    logprobs: bool | int | None
    top_logprobs: int | None
    lora_name: str | None
    response_format: dict[str, Any] | type[BaseModel] | None
    enable_thinking: bool | None
    chat_template_kwargs: dict[str, Any] | None
    model_kwargs: Mapping[str, Any] | None
    generate_config: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class SamplingKeywords(RareSamplingKeywords, total=False):
    """All fields of `SamplingFields` as keywords, for type checkers."""

    temperature: float | None
    max_tokens: int | None


@lru_cache(maxsize=1)
def _names() -> tuple[Any, ...]:
    return (*SAMPLING, *CHAT_ONLY, *OPEN)
