"""The generation parameters of chat and completion models in both frameworks."""

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
    """Generation parameters, set at construction or per call; None is not sent, so the server's default applies."""

    temperature: float | None = None
    """Sampling temperature: 0 always picks the most likely token, higher values vary more."""
    top_p: float | None = None
    """Sample from the most likely tokens that together have this probability."""
    top_k: int | None = None
    """Sample from this many of the most likely tokens."""
    min_p: float | None = None
    """Exclude tokens whose probability is below this fraction of the most likely token's."""
    max_tokens: int | None = None
    """Maximum number of tokens in the answer."""
    stop: str | list[str] | None = None
    """Strings that end the answer. They are not part of it."""
    seed: int | None = None
    """Seed of the sampling, for reproducible answers on engines that support it."""
    presence_penalty: float | None = None
    """Positive values discourage tokens that have already appeared."""
    frequency_penalty: float | None = None
    """Positive values discourage tokens in proportion to how often they have appeared."""
    repetition_penalty: float | None = None
    """Values above 1 discourage repetition."""
    logprobs: bool | int | None = None
    """Return the log probabilities of the tokens."""
    top_logprobs: int | None = None
    """How many alternatives to return per token, with their log probabilities; chat only."""
    lora_name: str | None = None
    """Name of the LoRA adapter to use."""
    response_format: ResponseFormat | None = None
    """OpenAI's dict or a pydantic class. The methods for structured output set it if the engine enforces it."""
    enable_thinking: bool | None = None
    """Whether a hybrid model reasons (thinks) before it answers."""
    chat_template_kwargs: JSON | None = None
    """Arguments of the model's chat template."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Other parameters of the server, passed through. The values of known names are checked."""
    generate_config: JSON | None = None
    """The older packages' name for `model_kwargs`."""
    extra_body: JSON | None = None
    """The OpenAI client's name for `model_kwargs`."""

    def stated_parameters(self) -> JSON:
        """Return the parameters that are set, by their names in the request.

        Returns:
            Parameter names and values, without those that are None.
        """
        mine = self.__dict__
        return {name: value for name in _names() if (value := mine[name]) is not None}


class RareSamplingKeywords(TypedDict, total=False):
    """The fields of `SamplingFields` as keywords, for type checkers, without the two most common ones."""

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
