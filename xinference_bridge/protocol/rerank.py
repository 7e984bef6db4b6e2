"""`POST /v1/rerank`: query and documents → request, answer → scores. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.http import JSON, Request, Response
from xinference_bridge.protocol.shape_errors import unexpected_answer

#: A text, or an object such as `{"image": "data:image/png;base64,…"}`.
RerankItem = str | Mapping[str, str]

_MEDIA = ("image", "video")


@dataclass(frozen=True, slots=True)
class RerankResult:
    """How relevant one document is: its place in the list that was sent, and the score."""

    index: int
    relevance_score: float


def rerank_request(
    uid: str, query: RerankItem, documents: Sequence[RerankItem], parameters: Mapping[str, Any]
) -> Request:
    """Return the request for how relevant each document is to the query.

    Args:
        uid: The model.
        query: A text or an object.
        documents: Texts or objects, mixed as they come.
        parameters: Parameters under their wire names; `instruction` goes into `kwargs`, where the server reads it.
    """
    body: JSON = {"model": uid, "query": query, "documents": documents, **_with_instruction(parameters)}
    return Request("POST", "/v1/rerank", body, model_uid=uid, ability="rerank")


def _with_instruction(parameters: Mapping[str, Any]) -> JSON:
    """4.1.0 reads an instruction from `kwargs`, a JSON string, and ignores one beside it in silence."""
    own = dict(parameters)
    instruction = own.pop("instruction", None)
    more = own.get("kwargs")
    if isinstance(more, str) and instruction is not None:
        try:
            more = json.loads(more)
        except ValueError:
            raise XinferenceConfigurationError(f"kwargs must be a JSON object, got {more[:60]!r}") from None
    if instruction is not None:
        if not isinstance(instruction, str):
            msg = f"instruction must be a string, got {type(instruction).__name__}"
            raise XinferenceConfigurationError(msg)
        more = {**(more or {}), "instruction": instruction}
    if isinstance(more, Mapping):
        own["kwargs"] = json.dumps(more, ensure_ascii=False)
    return own


def has_images(query: RerankItem, documents: Sequence[RerankItem]) -> bool:
    """Return whether anything but text is to be ranked."""
    return any(not isinstance(item, str) and any(kind in item for kind in _MEDIA) for item in (query, *documents))


def with_captions(documents: Sequence[RerankItem], captions: Mapping[int, str]) -> list[RerankItem]:
    """Return the documents, with the caption in place of each image that has one."""
    return [
        captions[place] if place in captions and not isinstance(document, str) else document
        for place, document in enumerate(documents)
    ]


def rerank_from_response(response: Response, count: int, top_n: int | None = None) -> list[RerankResult]:
    """Return the server's ranking, best first: of each of `count` documents, or of the best `top_n`.

    Raises:
        XinferenceProtocolError: It names documents that were not sent, or leaves out some that were.
    """
    data = response.json()
    entries = data.get("results") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        raise unexpected_answer(response, "a list under 'results'")
    results = []
    seen = set()
    for entry in entries:
        index = entry.get("index") if isinstance(entry, dict) else None
        score = entry.get("relevance_score") if isinstance(entry, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or index in seen:
            raise unexpected_answer(
                response, f"documents numbered 0 to {count - 1}, each once; one is numbered {index!r}"
            )
        if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
            raise unexpected_answer(response, f"a relevance_score for document {index}")
        seen.add(index)
        results.append(RerankResult(index, float(score)))
    wanted = count if top_n is None or top_n < 0 else min(count, top_n)
    if len(results) < wanted:
        raise unexpected_answer(response, f"a score for {wanted} of {count} documents; it has {len(results)}")
    # Cut here too: some engines send every document back, whatever top_n says.
    return sorted(results, key=lambda result: -result.relevance_score)[:wanted]
