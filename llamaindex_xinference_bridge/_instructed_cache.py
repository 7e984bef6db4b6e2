"""A cache of vectors with a separate collection for each instruction."""

from __future__ import annotations

import hashlib
from typing import Any

from llama_index.core.storage.kvstore.types import BaseKVStore


class InstructedCache:
    """`embeddings_cache` under one instruction: llama-index-core's key is the text alone, without its instruction.

    So a query and a text of the same words share a vector where their instructions are equal, and only there; and a
    stored cache is not read for another instruction than it was written under.
    """

    def __init__(self, cache: BaseKVStore, instruction: str) -> None:
        self._cache = cache
        self._suffix = "_" + hashlib.sha256(instruction.encode()).hexdigest()[:16]

    def get(self, key: str, collection: str) -> dict[str, Any] | None:
        """Return the cached vector of a text."""
        return self._cache.get(key=key, collection=collection + self._suffix)

    async def aget(self, key: str, collection: str) -> dict[str, Any] | None:
        """Async version of `get`."""
        return await self._cache.aget(key=key, collection=collection + self._suffix)

    def put(self, key: str, val: dict[str, Any], collection: str) -> None:
        """Store the vector of a text."""
        self._cache.put(key=key, val=val, collection=collection + self._suffix)

    async def aput(self, key: str, val: dict[str, Any], collection: str) -> None:
        """Async version of `put`."""
        await self._cache.aput(key=key, val=val, collection=collection + self._suffix)
