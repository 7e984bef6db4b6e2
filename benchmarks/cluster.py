"""Compares one replica with two: the same corpus through the same client, alternating, on a lab that is a cluster.

`make lab CLUSTER=1`, then `make bench-cluster`. Writes benchmarks/CLUSTER.md.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from langchain_xinference_bridge import XinferenceEmbeddings
from xinference_bridge import XinferenceConnection

RESULTS = Path(__file__).parent / "CLUSTER.md"
TEXTS = [
    f"Paragraph {number}: " + "the harbour, its boats and the weather on the island. " * 8 for number in range(1000)
]
ROUNDS = 3
IN_FLIGHT = (1, 2, 4)


def main() -> None:
    """Measure and write."""
    with XinferenceConnection() as connection:
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(ROUNDS):
            for count in IN_FLIGHT:
                for uid in ("minilm-one", "minilm"):
                    model = XinferenceEmbeddings(
                        model_uid=uid, connection=connection, batch_size=32, max_concurrency=count
                    )
                    began = time.perf_counter()
                    model.embed_documents(TEXTS)
                    times.setdefault((uid, count), []).append(time.perf_counter() - began)
    rows = []
    for count in IN_FLIGHT:
        one, two = (statistics.median(times[uid, count]) for uid in ("minilm-one", "minilm"))
        rows.append(f"| {count} | {one:.1f} | {two:.1f} | {two / one:.2f} |")
        print(f"{count} in flight: one replica {one:.1f} s, two {two:.1f} s, ratio {two / one:.2f}")
    lab = os.environ.get("LAB_XINFERENCE", "?")
    RESULTS.write_text(
        f"""# One replica against two

Written by `make bench-cluster` on {datetime.now(timezone.utc):%Y-%m-%d}; do not edit.
{len(TEXTS)} texts of {len(TEXTS[0])} characters, all-MiniLM-L6-v2 on a CPU, one thread a replica, one replica a worker;
medians of {ROUNDS} rounds, turn about. Xinference {lab}, {os.cpu_count()} cores, Python {platform.python_version()},
langchain-core {version("langchain-core")}.
Supervisor, workers and client share the cores.

| requests in flight | one replica, s | two replicas, s | ratio |
|---|---|---|---|
"""
        + "\n".join(rows)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
