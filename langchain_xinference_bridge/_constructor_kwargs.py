"""The keywords of the constructors, so that type checkers find misspelled ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from typing_extensions import TypedDict

from xinference_bridge.client.uploads import FileLike
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.integration.inline_media import InlineMediaLike
from xinference_bridge.integration.sampling_fields import SamplingKeywords


class SharedSettings(TypedDict, total=False):
    """What all classes take beside server_url, model_uid and api_key."""

    model: str
    base_url: str
    connection: XinferenceConnection | None
    timeout: float | None
    max_retries: int | None
    default_headers: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    model_kwargs: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class LanguageModelSettings(SharedSettings, SamplingKeywords, total=False):
    """Keywords of chat and language models: generation parameters and LangChain's own."""

    name: str | None
    cache: BaseCache | bool | None
    verbose: bool
    callbacks: Callbacks
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None


class ChatSettings(LanguageModelSettings, total=False):
    """Keywords of ChatXinference."""

    streaming: bool | None
    stream_usage: bool
    include_response_headers: bool
    context_length: int | None
    inline_media: InlineMediaLike
    disable_streaming: bool | Literal["tool_calling"]
    output_version: str | None
    profile: ModelProfile | None
    rate_limiter: BaseRateLimiter | None


class LLMSettings(LanguageModelSettings, total=False):
    """Keywords of XinferenceLLM."""

    max_concurrency: int


class EmbeddingsSettings(SharedSettings, total=False):
    """Keywords of XinferenceEmbeddings."""

    batch_size: int
    max_concurrency: int
    show_progress: bool
    truncate: bool | int | None
    dimensions: int | None
    query_instruction: str
    document_instruction: str


class SparseEmbeddingsSettings(SharedSettings, total=False):
    """Keywords of XinferenceSparseEmbeddings."""

    batch_size: int
    max_concurrency: int


class RerankSettings(SharedSettings, total=False):
    """Keywords of XinferenceRerank."""

    top_n: int | None
    score_threshold: float | None
    instruction: str | None


class TranscriberSettings(SharedSettings, total=False):
    """What XinferenceTranscriber takes."""

    task: Literal["transcribe", "translate"]
    language: str | None
    prompt: str | None
    temperature: float | None
    timestamps: Literal["segment", "word"] | None
    format: Literal["text", "srt", "vtt"]


class SpeechSettings(SharedSettings, total=False):
    """What XinferenceSpeech takes."""

    name: str | None
    voice: str | None
    format: str
    speed: float
    prompt_audio: FileLike | None
    prompt_text: str | None


class ImagesSettings(SharedSettings, total=False):
    """What XinferenceImages takes."""

    name: str | None
    n: int
    size: str | tuple[int, int] | None
    negative_prompt: str | None


class OCRSettings(SharedSettings, total=False):
    """What XinferenceOCR takes."""

    prompt: str | None
    pages: list[int] | None
    mode: Literal["single", "page"]
