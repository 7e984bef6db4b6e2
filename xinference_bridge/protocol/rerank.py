"""`POST /v1/rerank`: query and documents → request, answer → scores. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.shape_errors import unexpected_answer


@dataclass(frozen=True, slots=True)
class RerankResult:
    """How relevant one document is: its place in the list that was sent, and the score."""

    index: int
    relevance_score: float


def rerank_request(uid: str, query: str, documents: Sequence[str], parameters: Mapping[str, Any]) -> Request:
    """How relevant each document is to the query."""
    body = {"model": uid, "query": query, "documents": documents, **parameters}
    return Request("POST", "/v1/rerank", body, model_uid=uid, ability="rerank")


def rerank_from_response(response: Response, count: int, top_n: int | None = None) -> list[RerankResult]:
    """The server's ranking, best first: of each of `count` documents, or of the best `top_n`.

    Raises XinferenceProtocolError when it names documents that were not sent, or leaves out some that were.
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
    return sorted(results, key=lambda result: -result.relevance_score)
