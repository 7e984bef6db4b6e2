"""A cache of vectors with a separate collection for queries."""

from __future__ import annotations

from typing import Any

from llama_index.core.storage.kvstore.types import BaseKVStore


class QueryCache:
    """`embeddings_cache` for queries. llama-index-core stores queries and texts under the same key, their text."""

    def __init__(self, cache: BaseKVStore) -> None:
        self._cache = cache

    def get(self, key: str, collection: str) -> dict[str, Any] | None:
        """Return the cached vector of a query."""
        return self._cache.get(key=key, collection=_of_queries(collection))

    async def aget(self, key: str, collection: str) -> dict[str, Any] | None:
        """Async version of `get`."""
        return await self._cache.aget(key=key, collection=_of_queries(collection))

    def put(self, key: str, val: dict[str, Any], collection: str) -> None:
        """Store the vector of a query."""
        self._cache.put(key=key, val=val, collection=_of_queries(collection))

    async def aput(self, key: str, val: dict[str, Any], collection: str) -> None:
        """Async version of `put`."""
        await self._cache.aput(key=key, val=val, collection=_of_queries(collection))


def _of_queries(collection: str) -> str:
    return f"{collection}_of_queries"
