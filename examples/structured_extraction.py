"""Extract facts from texts as objects. An answer that does not match the schema raises an error.

python examples/structured_extraction.py [UID]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pydantic import BaseModel, Field

from langchain_xinference_bridge import ChatXinference
from xinference_bridge import XinferenceError

TEXTS = ("Extract the person: Ada Lovelace was 36 years old.",)


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0, le=150)


def main(uid: str = "qwen3", texts: Sequence[str] = TEXTS) -> None:
    """Print one person per text."""
    extractor = ChatXinference(model_uid=uid, temperature=0).with_structured_output(Person)
    for text, found in zip(texts, extractor.batch(list(texts), return_exceptions=True), strict=True):
        if isinstance(found, Person):
            print(f"{found.name}, {found.age}")
        elif isinstance(found, XinferenceError):
            print(f"{text!r}: {found}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:2])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
