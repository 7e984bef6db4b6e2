"""The keywords of the constructors, so that type checkers find misspelled ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.schema import MetadataMode
from llama_index.core.storage.kvstore.types import BaseKVStore
from pydantic import SecretStr
from typing_extensions import TypedDict

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.integration.inline_media import InlineMediaLike
from xinference_bridge.integration.sampling_fields import RareSamplingKeywords


class SharedSettings(TypedDict, total=False):
    """Keywords of all classes, besides their positional arguments."""

    model: str
    connection: XinferenceConnection | None
    server_url: str | None
    api_key: SecretStr | str | None
    max_retries: int | None
    headers: Mapping[str, str] | None
    default_headers: Mapping[str, str] | None
    additional_kwargs: Mapping[str, Any] | None


class ConnectionSettings(TypedDict, total=False):
    """What XinferenceToolSpec takes beside its models and its connection."""

    server_url: str | None
    api_key: SecretStr | str | None
    timeout: float | None
    max_retries: int | None
    headers: Mapping[str, str] | None


class LLMSettings(SharedSettings, RareSamplingKeywords, total=False):
    """Keywords of XinferenceLLM."""

    base_url: str | None
    timeout: float | None
    context_window: int | None
    context_length: int | None
    is_chat_model: bool | None
    is_function_calling_model: bool | None
    inline_media: InlineMediaLike
    query_wrapper_prompt: BasePromptTemplate | None
    rate_limiter: Any


class EmbeddingSettings(SharedSettings, total=False):
    """Keywords of XinferenceEmbedding."""

    endpoint: str | None
    callback_manager: CallbackManager | None
    model_name: str
    embed_batch_size: int
    num_workers: int | None
    embeddings_cache: BaseKVStore | None
    rate_limiter: Any
    query_instruction: str | None
    text_instruction: str | None
    dimensions: int | None
    model_kwargs: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class SparseEmbeddingSettings(SharedSettings, total=False):
    """Keywords of XinferenceSparseEmbedding."""

    endpoint: str | None
    model_name: str
    embed_batch_size: int
    num_workers: int | None
    model_kwargs: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class RerankSettings(SharedSettings, total=False):
    """Keywords of XinferenceRerank."""

    endpoint: str | None
    callback_manager: CallbackManager | None
    timeout: float | None
    metadata_mode: MetadataMode
    instruction: str | None
    model_kwargs: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class ReaderSettings(SharedSettings, total=False):
    """What both readers take."""

    endpoint: str | None
    timeout: float | None
    prompt: str | None
    model_kwargs: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class AudioReaderSettings(ReaderSettings, total=False):
    """What XinferenceAudioReader takes."""

    timestamps: Literal["segment", "word"] | None
    task: Literal["transcribe", "translate"]
    language: str | None


class OCRReaderSettings(ReaderSettings, total=False):
    """What XinferenceOCRReader takes."""

    pages: Sequence[int] | None
