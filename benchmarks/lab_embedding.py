"""Embeds 1,000 documents with the lab's MiniLM, through each bridge and with one request per document.

`set -a; . .lab/env; set +a; .venv-bench/bin/python -m benchmarks.lab_embedding`, while the lab runs.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from langchain_xinference_bridge import XinferenceEmbeddings
from llamaindex_xinference_bridge import XinferenceEmbedding
from xinference_bridge import XinferenceConnection

RESULTS = Path(__file__).with_name("lab_results.md")
DOCUMENTS = [
    f"Document {number}: the bridge number {number} was built of stone, and stood for years." for number in range(1000)
]
ONE_BY_ONE = 50
ROUNDS = 2


def one_by_one(url: str, api_key: str, texts: Sequence[str]) -> None:
    """Embed as the older packages do: one request per document."""
    session = requests.Session()
    session.trust_env = False
    for text in texts:
        answer = session.post(
            f"{url}/v1/embeddings",
            json={"model": "minilm", "input": text},
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=300,
        )
        answer.raise_for_status()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure alternately, and write the ratios to lab_results.md."""
    url, api_key = os.environ["XINFERENCE_ENDPOINT"], os.environ["XINFERENCE_API_KEY"]
    with XinferenceConnection(server_url=url, api_key=api_key) as connection:
        langchain = XinferenceEmbeddings(model_uid="minilm", connection=connection)
        llamaindex = XinferenceEmbedding(model_uid="minilm", connection=connection)
        works: dict[str, Callable[[], object]] = {
            "XinferenceEmbeddings (LangChain)": lambda: langchain.embed_documents(DOCUMENTS),
            "XinferenceEmbedding (LlamaIndex)": lambda: llamaindex.get_text_embedding_batch(DOCUMENTS),
        }
        langchain.embed_query("warm up")
        alone: list[float] = []
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            alone.append(
                _seconds(lambda: one_by_one(url, api_key, DOCUMENTS[:ONE_BY_ONE])) * len(DOCUMENTS) / ONE_BY_ONE
            )
            for name, work in works.items():
                taken[name].append(_seconds(work))
    lines = [
        "## On a real server: 1,000 documents, MiniLM on a CPU",
        "",
        f"Medians of {ROUNDS} rounds, turn about. One request a document, as the older packages send them, is timed",
        f"over {ONE_BY_ONE} documents.",
        "",
        "| way | seconds | of one request a document |",
        "|---|---|---|",
        f"| one request a document | {statistics.median(alone):.1f} | 1 |",
    ]
    for name, times in taken.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(times, alone, strict=True))
        lines.append(f"| {name} | {statistics.median(times):.1f} | {ratio:.2f} |")
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
