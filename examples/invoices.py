"""Extract invoices from scans: an OCR model reads the text, and a chat model converts it into a pydantic object.

python examples/invoices.py [UID] [UID of the OCR model] [FILE …]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.documents.base import Blob
from pydantic import BaseModel, Field

from langchain_xinference_bridge import ChatXinference, XinferenceOCR
from xinference_bridge import XinferenceConnection, XinferenceError

SCAN = Path(__file__).parent / "images" / "invoice.png"


class Invoice(BaseModel):
    """An invoice."""

    number: str
    total: float = Field(ge=0)


def main(uid: str = "qwen3", ocr: str = "deepseek-ocr", *files: str | Path) -> None:
    """Print number and total of each invoice. Report a scan that cannot be read, and continue with the others."""
    with XinferenceConnection() as connection:
        reader = XinferenceOCR(model_uid=ocr, connection=connection)
        chat = ChatXinference(model_uid=uid, connection=connection, temperature=0, max_tokens=200)
        extractor = chat.with_structured_output(Invoice)
        for file in files or (SCAN,):
            try:
                [page] = reader.lazy_parse(Blob.from_path(file))
                invoice = extractor.invoke(f"Number and total of this invoice:\n\n{page.page_content}")
            except XinferenceError as error:
                print(f"{Path(file).name}: {error}")
            else:
                print(f"{Path(file).name}: {invoice!r}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
