"""Embed a large corpus on a Dask cluster. When restarted, the job resumes where it stopped.

    python examples/embed_corpus_dask.py CORPUS OUT [EMBEDDING_UID] [--scheduler tcp://HOST:8786]

CORPUS is a Parquet file or a folder of Parquet files, with the columns `id` and `text`. Each slice of the corpus
becomes a file in OUT, with the vectors added. A file gets its final name only when it is complete. Rows whose id and
text are already in that file are not sent again; changed texts are. Without a scheduler, the program starts two
workers on this machine.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, as_completed
from tqdm import tqdm

from llamaindex_xinference_bridge import XinferenceEmbedding
from xinference_bridge import XinferenceConnection, XinferenceError


class Slice(NamedTuple):
    """Some rows of a row group of a file, and the output file for their vectors."""

    source: Path
    group: int
    start: int
    rows: int
    target: Path


def main(
    corpus: str, out: str, embedding: str = "bge-m3", *, scheduler: str | None = None, rows_a_file: int = 4096
) -> None:
    """Embed all texts that are not embedded yet."""
    model = XinferenceEmbedding(model_uid=embedding, connection=XinferenceConnection())
    model.connection.check(embedding, "embed")  # so that a wrong key fails once, here, and not in every worker
    slices = slices_of(Path(corpus).resolve(), Path(out).resolve(), rows_a_file)
    # On a local cluster, the error is enough: Dask's log would repeat it with a traceback.
    local: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    sent = 0
    with (
        Client(scheduler) if scheduler else Client(**local, silence_logs=logging.CRITICAL) as client,
        tqdm(total=sum(piece.rows for piece in slices), unit=" rows") as bar,
    ):
        tasks = client.map(embed_slice, slices, model=model, pure=False)
        for _, (rows, texts) in as_completed(tasks, with_results=True):
            bar.update(rows)
            sent += texts
    print(f"{bar.n} vectors stand in {out}; {sent} texts were sent for them now.")


def slices_of(corpus: Path, out: Path, rows_a_file: int) -> list[Slice]:
    """Return the slices of the corpus. They are the same in each run; a file that has grown keeps its full slices."""
    slices = []
    for source in sorted(corpus.glob("*.parquet")) if corpus.is_dir() else [corpus]:
        metadata = pq.read_metadata(source)
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            for start in range(0, rows, rows_a_file):
                target = out / f"{source.stem}-{group:05}-{start:09}.parquet"
                slices.append(Slice(source, group, start, min(rows_a_file, rows - start), target))
    out.mkdir(parents=True, exist_ok=True)
    if others := set(out.glob("*.parquet")) - {piece.target for piece in slices}:
        raise ValueError(
            f"{min(others)} is no part of this corpus, which was cut otherwise or has lost rows: "
            "remove it, or choose another folder"
        )
    return slices


def embed_slice(piece: Slice, model: XinferenceEmbedding) -> tuple[int, int]:
    """Embed a slice on a worker. Return the number of rows and the number of texts that were sent."""
    table = pq.ParquetFile(piece.source).read_row_group(piece.group, columns=["id", "text"])
    table = table.slice(piece.start, piece.rows)
    rows = list(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    vectors = vectors_in(piece.target, model.model_uid)
    done, missing = list(vectors), [row for row in dict.fromkeys(rows) if row not in vectors]
    try:
        embedded = model.embed_array([text for _, text in missing])  # float32, as in the Parquet file
    except XinferenceError as error:
        error.message = f"{piece.source.name}, rows {piece.start} on of row group {piece.group}: {error.message}"
        raise
    vectors.update(zip(missing, embedded, strict=True))
    if done != rows:
        column = pa.array([vectors[row] for row in rows], pa.list_(pa.float32()))
        table = table.append_column("embedding", column).replace_schema_metadata({"model": model.model_uid})
        unfinished = piece.target.with_suffix(".unfinished")
        pq.write_table(table, unfinished)
        unfinished.rename(piece.target)
    return len(rows), len(missing)


def vectors_in(target: Path, model_uid: str) -> dict[tuple[Any, str], Any]:
    """Return the vectors in the output file of a slice, if there is one."""
    if not target.exists():
        return {}
    table = pq.read_table(target)
    if (other := table.schema.metadata[b"model"].decode()) != model_uid:
        raise ValueError(f"{target} holds vectors of {other!r}, not of {model_uid!r}: choose another folder")
    columns = (table[name].to_pylist() for name in ("id", "text", "embedding"))
    return {(key, text): vector for key, text, vector in zip(*columns, strict=True)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Embed a corpus on a Dask cluster.")
    parser.add_argument("corpus", help="a Parquet file or a folder of them, with the columns id and text")
    parser.add_argument("out", help="the folder for the vectors, which every worker reaches")
    parser.add_argument("embedding", nargs="?", default="bge-m3", help="UID of the embedding model")
    parser.add_argument("--scheduler", help="of a running cluster; without, two workers are started here")
    parser.add_argument("--rows-a-file", type=int, default=4096, help="unfinished files are what a crash loses")
    try:
        main(**vars(parser.parse_args()))
    except (XinferenceError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
