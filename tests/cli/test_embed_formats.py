"""What `embed` reads, what it refuses by name, and the bad rows that it skips when told to."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_embed import embed, embedder, rows_of
from xinference_bridge.cli import inputs

__all__ = ["embedder"]

ROWS = [{"id": 1, "text": "a 1"}, {"id": 2, "text": "a 2"}]


def write(path):
    """The two rows in the format that the name says."""
    kind = path.suffix
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif kind == ".json":
        path.write_text(json.dumps(ROWS))
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        mark = "\t" if kind == ".tsv" else ","
        path.write_text(mark.join(["id", "text"]) + "\r\n" + "".join(f"{r['id']}{mark}{r['text']}\r\n" for r in ROWS))
    return path


@pytest.mark.fault_server
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_the_texts_of_a_table_are_embedded_with_their_fields(embedder, tmp_path, suffix):
    out = tmp_path / "out.jsonl"
    ran = embed(embedder, write(tmp_path / f"in{suffix}"), "-o", out)
    assert ran.status == 0, ran.err
    assert [(row["text"], int(row["fields"]["id"]), row["embedding"]) for row in rows_of(out)] == [
        ("a 1", 1, [1.0, 0.5]),
        ("a 2", 2, [2.0, 0.5]),
    ]


def test_a_json_array_of_strings_is_read(tmp_path):
    path = tmp_path / "in.json"
    path.write_text('["a", "b"]')
    assert [(row.line, row.text) for row in inputs.rows_of([path], "text")] == [(1, "a"), (2, "b")]


def test_a_csv_field_with_line_breaks_and_quotes_is_one_text(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes('\ufefftext,n\r\n"two\nlines, ""quoted""",1\r\n'.encode())
    [row] = inputs.rows_of([path], "text")
    assert (row.text, row.fields) == ('two\nlines, "quoted"', {"n": "1"})


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.pdf", "extract its text first"),
        ("a.xlsx", "export it as CSV first"),
        ("a.jsonl.gz", "unpack it first"),
        ("a.npy", "convert it to Parquet or JSONL first"),
        ("a.png", "only texts are embedded"),
    ],
)
def test_a_format_that_is_not_read_is_refused_by_name_before_anything_is_sent(embedder, tmp_path, name, told):
    good, bad = tmp_path / "good.txt", tmp_path / name
    good.write_text("a 1\n")
    bad.write_bytes(b"\x00")
    ran = embed(embedder, good, bad, "-o", tmp_path / "out.jsonl")
    assert ran.status == 1
    assert f"{name}: " in ran.err
    assert told in ran.err
    assert embedder.sent() == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"title,body\nx,y\n", "no column 'text'; it has 'title', 'body'. --field names the one"),
        ("a.csv", b"", "no column 'text'; it is empty"),
        ("a.csv", b"text\n\xff\n", "row 1: is not UTF-8"),
        ("a.json", b'{"text": "x"}', "must hold a JSON array of strings or objects, got an object"),
        ("a.json", b'{"text": "x"}\n{"text": "y"}\n', "one object per line is JSONL: name the file .jsonl"),
        ("a.json", b'[{"text": 1}]', "entry 1: 'text' must be a string, got a number"),
        ("a.jsonl", b'{"body": "x"}\n', "no text under 'text'; it has body. --field names the one"),
        ("a.jsonl", b"{oops\n", "line 1: is not JSON"),
        ("a.parquet", b"no", "is no Parquet file"),
        ("a.txt", b"\xff\n", "line 1: is not UTF-8"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_do(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(inputs.XinferenceConfigurationError) as caught:
        list(inputs.rows_of([path], "text"))
    assert told in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.fault_server
def test_bad_rows_are_skipped_and_counted_when_told_so_and_the_job_resumes(embedder, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a 1"}\n{oops\n{"body": "x"}\n{"text": "a 2"}\n')
    refused = embed(embedder, source, "-o", out)
    assert refused.status == 1
    ran = embed(embedder, source, "-o", out, "--skip-bad")
    assert ran.status == 0
    assert [row["text"] for row in rows_of(out)] == ["a 1", "a 2"]
    assert "2 bad rows were skipped; the first: " in ran.err
    assert "line 2: is not JSON" in ran.err
    assert "Nothing to do: 2 vectors are in" in embed(embedder, source, "-o", out, "--skip-bad").err
