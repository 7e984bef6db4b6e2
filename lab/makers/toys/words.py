"""Words of a text, and of a picture the name of its main colour: a red picture is near the text "red"."""

from __future__ import annotations

import hashlib
from typing import Any

from qwen_vl_utils.vision_process import fetch_image

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "grey": (128, 128, 128),
}


def colour(image: Any) -> str:
    """Return the colour next to the picture's mean: of a URL, a data URI, a path or a PIL image."""
    pixel = fetch_image({"image": image}).convert("RGB").resize((1, 1)).getpixel((0, 0))
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], pixel, strict=True)))


def words(item: Any) -> list[str]:
    """Return the words of an input: a text, or a dict of text, image or video."""
    if isinstance(item, str):
        item = {"text": item}
    if not any(kind in item for kind in ("text", "image", "video")):
        raise ValueError("an input needs text, image or video")
    found = [word.strip(".,;:!?").lower() for word in str(item.get("text") or "").split()]
    images = item.get("image") or []
    return found + [colour(image) for image in (images if isinstance(images, list) else [images])]


def likeness(one: set[str], other: set[str]) -> float:
    """Return the share of words that both have."""
    return (len(one & other) + 0.01) / (len(one | other) + 0.01)


def vector(item: Any, size: int) -> list[float]:
    """Return a normalised bag of hashed words."""
    values = [0.0] * size
    for word in words(item):
        digest = hashlib.sha256(word.encode()).digest()
        values[int.from_bytes(digest[:4], "big") % size] += 1.0 if digest[4] % 2 else -1.0
    norm = sum(value * value for value in values) ** 0.5
    return [value / norm for value in values] if norm else values
