"""Measures langchain-xinference 0.1.2 and the floor alternately, in a separate environment; prints both as JSON.

The package pins langchain-core below 0.4, so it cannot be installed in our environment. Its ratio to the same floor is
compared.
"""

from __future__ import annotations

import json
import sys

from langchain_xinference import XinferenceEmbeddings

from benchmarks.harness import Work, measure
from benchmarks.stub_server import API_KEY
from benchmarks.wire import BATCH, TEXTS, Wire


def main() -> None:
    """Embed the same texts with the peer and the floor, on the server whose URL is the argument."""
    url = sys.argv[1]
    wire = Wire(url)
    theirs = XinferenceEmbeddings(server_url=url, model_uid="embed", api_key=API_KEY)
    work = Work(
        "embed",
        {"peer": lambda: theirs.embed_documents(TEXTS), "floor": lambda: wire.embed("embed", TEXTS, BATCH)},
        rounds=3,
    )
    measured = measure(work, warm_up=1)
    print(json.dumps({"milliseconds": measured.milliseconds, "ratio": measured.ratios["floor"]}))


if __name__ == "__main__":
    main()
