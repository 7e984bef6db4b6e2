"""Embed a large corpus on a Ray cluster. When restarted, the job resumes where it stopped.

    python examples/embed_corpus_ray.py CORPUS OUT [EMBEDDING_UID]

CORPUS is a folder of Parquet files with the columns `id` and `text`; each id is unique. The job writes the rows with
their vectors to the folder OUT, and Ray's checkpoint (the ids that are written) to OUT.job. These ids are not sent
again, and partial files that a crash has left are deleted. You can add new files to a corpus; changed files are
rejected. RAY_ADDRESS is the address of a running cluster with at least two CPUs. Without it, the program starts a
cluster on this machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import ray
from ray.data.checkpoint import CheckpointConfig
from ray.exceptions import RayTaskError, UserCodeException

from langchain_xinference_bridge import XinferenceEmbeddings
from xinference_bridge import XinferenceConnection, XinferenceError


class Embedder:
    """One worker, with its own process and its own connection pool."""

    def __init__(self, embeddings: XinferenceEmbeddings) -> None:
        self.embeddings = embeddings

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows with their vectors."""
        try:
            vectors = self.embeddings.embed_array(rows["text"].to_pylist())  # float32, as in the Parquet file
        except XinferenceError as error:
            error.message = f"the {len(rows)} rows from id {rows['id'][0]} on: {error.message}"
            raise UserCodeException(error) from error  # for other exceptions, Ray suggests a bug in Ray
        return rows.append_column("embedding", pa.array(list(vectors), pa.list_(pa.float32())))


def main(corpus: str, out: str, embedding: str = "bge-m3", *, workers: int = 2, rows_a_file: int = 4096) -> None:
    """Embed all texts that are not embedded yet."""
    connection = XinferenceConnection()
    connection.check(embedding, "embed")  # so that a wrong key fails once, here, and not in every worker
    target = Path(out).resolve()
    job = target.with_name(target.name + ".job")
    files = sorted(Path(corpus).resolve().glob("*.parquet"))
    begin(job, embedding, files)
    ray.init()
    if ray.cluster_resources().get("CPU", 0) < 2:
        raise ValueError("Ray goes on from a checkpoint on two CPUs or more: one holds it, and one does the rest")
    settings = ray.data.DataContext.get_current()
    settings.raise_original_map_exception = True
    settings.checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path=str(job / "written"), delete_checkpoint_on_success=False
    )
    rows = ray.data.read_parquet([str(file) for file in files]).select_columns(["id", "text"])
    embedded = rows.repartition(target_num_rows_per_block=rows_a_file).map_batches(
        Embedder,
        fn_constructor_args=(XinferenceEmbeddings(model_uid=embedding, connection=connection),),
        batch_format="pyarrow",
        batch_size=rows_a_file,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=0,  # it only waits for the server
    )
    try:
        embedded.write_parquet(str(target))
    except RayTaskError as failed:
        if isinstance(failed.cause, UserCodeException):
            raise failed.cause.args[0] from None
        raise
    print(f"{pyarrow.dataset.dataset(target).count_rows()} vectors stand in {out}.")


def begin(job: Path, embedding: str, files: list[Path]) -> None:
    """Record the model and the files. Reject a corpus that has changed, or another model."""
    note = job / "job.json"
    known: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {"model": embedding, "files": {}}
    if known["model"] != embedding:
        raise ValueError(f"{job} is of vectors of {known['model']!r}, not of {embedding!r}: choose another folder")
    for file in files:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            digest = hashlib.sha256(content).hexdigest()
        if known["files"].setdefault(file.name, digest) != digest:
            raise ValueError(f"{file} is not what it was when its rows were embedded: put new rows into a new file")
    job.mkdir(parents=True, exist_ok=True)
    unfinished = note.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(known))
    unfinished.rename(note)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Embed a corpus on a Ray cluster.")
    parser.add_argument("corpus", help="a folder of Parquet files, with the columns id and text")
    parser.add_argument("out", help="the folder for the vectors, which every worker reaches")
    parser.add_argument("embedding", nargs="?", default="bge-m3", help="UID of the embedding model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows-a-file", type=int, default=4096, help="unfinished files are what a crash loses")
    try:
        main(**vars(parser.parse_args()))
    except (XinferenceError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
