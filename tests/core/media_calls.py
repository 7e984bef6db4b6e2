"""One call of an audio or image handle, sync or async."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parents[1] / "data"
ENGLISH, FRENCH, RED, BLUE = (DATA / name for name in ("capital_en.wav", "capital_fr.wav", "red.png", "blue.png"))
_RECORDED = Path(__file__).parents[2] / "cassettes" / "lab" / "test_models"
MODES = ("sync", "async")
PDF = b"""%PDF-1.1
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 32 32]>>endobj
4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 64 32]>>endobj
trailer<</Root 1 0 R>>
"""
"""Two white pages, the second twice as wide."""


def recorded_body(name: str) -> bytes:
    """Return the response of a lab model that was recorded by a test in tests/lab."""
    [exchange] = yaml.safe_load((_RECORDED / f"{name}.yaml").read_text(encoding="utf-8"))["interactions"]
    body: str = exchange["response"]["body"]["string"]
    return body.encode()


def call(mode: str, handle: Any, verb: str, *args: Any, **keywords: Any) -> Any:
    """Return the method's result, sync or async; a stream as the list of its pieces."""
    if mode == "sync":
        result = getattr(handle, verb)(*args, **keywords)
        return list(result) if verb.startswith("stream") else result

    async def run() -> Any:
        if not verb.startswith("stream"):
            return await getattr(handle, f"a{verb}")(*args, **keywords)
        async with aclosing(getattr(handle, f"a{verb}")(*args, **keywords)) as pieces:
            return [piece async for piece in pieces]

    return asyncio.run(run())
