"""Files of texts become files of vectors: in order, each text sent once, however often the command is stopped."""

from __future__ import annotations

import json
import os
import sys

import orjson
import pytest

from tests.cli.tools import filled_pipe, model, run, to_lab, xinference
from tests.support.fault_proxy import http
from xinference_bridge.models.embedding import EmbeddingHandle


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"text {number}" for number in range(10)) + "\n")
    return path


def _number(text):
    last = text.split()[-1]
    return float(last) if last.isdigit() else 0.0


@pytest.fixture
def embedder(server):
    """A server whose vector for `text 7` is `[7.0, 0.5]`; it fails at the texts in `server.fails_at`."""
    server.fails_at = set()

    def answer(request):
        if request.path != "/v1/embeddings":
            return None
        texts = orjson.loads(request.body)["input"]
        if server.fails_at & set(texts):
            return (http(500, b'{"detail": "CUDA out of memory"}'),)
        data = [{"index": place, "embedding": [_number(text), 0.5]} for place, text in enumerate(texts)]
        return (http(200, orjson.dumps({"data": data})),)

    server.answer = answer
    xinference(server, model("e", "embedding"), model("other", "embedding"))
    server.sent = lambda: [t for request in server.seen("/v1/embeddings") for t in orjson.loads(request.body)["input"]]
    return server


def embed(server, *arguments, uid="e", piped=""):
    return run("embed", "--server-url", server.url, uid, *arguments, "--batch-size", "2", piped=piped)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.server
def test_the_lab_s_vectors_are_written_beside_their_texts(lab, tmp_path):
    source, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 7, "text": "A cat."}\n\n{"id": 8, "text": "A ship."}\n')
    ran = run("embed", *to_lab(lab), "minilm", source, "--out", out)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == f"2 vectors of 384 dimensions written to {out}.\n"
    first, second = rows_of(out)
    assert first.keys() == {"file", "line", "text", "fields", "model", "embedding"}
    assert (first["text"], first["line"], first["fields"], first["model"]) == ("A cat.", 1, {"id": 7}, "minilm")
    assert (second["text"], second["line"]) == ("A ship.", 3)
    assert len(first["embedding"]) == 384


@pytest.mark.fault_server
def test_vectors_stand_in_the_order_of_the_texts(embedder, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    assert embed(embedder, texts, "-o", out).status == 0
    assert [(row["text"], row["embedding"]) for row in rows_of(out)] == [(f"text {n}", [n, 0.5]) for n in range(10)]


@pytest.mark.fault_server
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_after_a_failure_it_goes_on_where_it_stopped(embedder, texts, tmp_path, name):
    out = tmp_path / name
    embedder.fails_at = {"text 6"}
    failed = embed(embedder, texts, "-o", out, "--concurrency", "1")
    assert failed.status == 1
    assert "CUDA out of memory" in failed.err
    embedder.fails_at = set()
    before = len(embedder.sent())
    ran = embed(embedder, texts, "-o", out, "--concurrency", "1")
    assert ran.status == 0
    assert embedder.sent()[before:] == [f"text {number}" for number in range(6, 10)]
    assert f"4 vectors of 2 dimensions written to {out}, after 6 existing ones." in ran.err


@pytest.mark.fault_server
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_when_all_is_written_nothing_is_sent_again(embedder, texts, tmp_path, name):
    out = tmp_path / name
    embed(embedder, texts, "-o", out)
    content = out.read_bytes()
    ran = embed(embedder, texts, "-o", out)
    assert ran.err == f"Nothing to do: {out} already contains 10 vectors.\n"
    assert len(embedder.sent()) == 10
    assert out.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "texts.txt"]


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_line_that_a_crash_cut_off_is_written_anew(embedder, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    embed(embedder, texts, "-o", out)
    whole = out.read_bytes()
    for length in (0, 1, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) - 1):
        out.write_bytes(whole[:length])
        assert embed(embedder, texts, "-o", out).status == 0
        assert out.read_bytes() == whole


@pytest.mark.fault_server
def test_texts_that_were_added_since_are_added(embedder, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    embed(embedder, texts, "-o", out)
    with texts.open("a") as file:
        file.write("text 10\n")
    embed(embedder, texts, "-o", out)
    assert embedder.sent()[10:] == ["text 10"]
    assert len(rows_of(out)) == 11


@pytest.mark.slow
@pytest.mark.fault_server
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_two_jobs_are_never_mixed_in_one_file(embedder, texts, tmp_path, name):
    out = tmp_path / name
    embed(embedder, texts, "-o", out)
    content = out.read_bytes()
    of_another_model = embed(embedder, texts, "-o", out, uid="other")
    assert of_another_model.status == 1
    assert "its model is 'e', not 'other'" in of_another_model.err
    texts.write_text("text 5\n")
    assert "its text is 'text 0', not 'text 5'" in embed(embedder, texts, "-o", out).err
    assert out.read_bytes() == content
    assert embed(embedder, texts, "-o", out, "--overwrite").status == 0
    assert embedder.sent()[10:] == ["text 5"]


@pytest.mark.slow
@pytest.mark.fault_server
def test_parquet_holds_the_same_as_jsonl(embedder, texts, tmp_path):
    import pyarrow.parquet

    embed(embedder, texts, "-o", tmp_path / "out.jsonl")
    embed(embedder, texts, "-o", tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("embedding").type) == "list<element: float>"
    rows = [{**row, "fields": json.loads(row["fields"])} for row in table.to_pylist()]
    assert rows == rows_of(tmp_path / "out.jsonl")


@pytest.mark.fault_server
def test_parquet_without_pyarrow_says_what_to_install_before_anything_is_sent(embedder, texts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ran = embed(embedder, texts, "-o", tmp_path / "out.parquet")
    assert ran.status == 1
    assert 'pip install "xinference-bridge[parquet]"' in ran.err
    assert embedder.sent() == []
    assert embed(embedder, texts, "-o", tmp_path / "out.jsonl").status == 0


@pytest.mark.fault_server
def test_piped_in_and_out_it_is_a_filter(embedder):
    ran = embed(embedder, "-", piped='text 1\n{"text": "text 2", "id": "b"}\n')
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [(row["file"], row["text"], row["fields"]) for row in rows] == [
        ("-", "text 1", {}),
        ("-", "text 2", {"id": "b"}),
    ]
    assert ran.err == "2 vectors of 2 dimensions written to standard output.\n"


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"text": "text 1"}\n{"txt": "text 2"}\n', "line 2: no text in the field 'text'; it has txt. Use --field"),
        (b'{"text": "text 1"}\n{"text": \n', "line 2: is not valid JSON"),
        (b'{"text": "text 1"}\n{"text": "\xe9"}\n', "line 2: is not UTF-8"),
    ],
)
def test_a_broken_line_is_named(embedder, tmp_path, content, complaint):
    source = tmp_path / "a.jsonl"
    source.write_bytes(content)
    ran = embed(embedder, source, "-o", tmp_path / "out.jsonl")
    assert ran.status == 1
    assert f"{source}, {complaint}" in ran.err


@pytest.mark.fault_server
def test_what_cannot_be_meant_is_refused_before_anything_is_written(embedder, texts, tmp_path):
    missing = embed(embedder, tmp_path / "none.txt", "-o", tmp_path / "out.jsonl")
    assert (missing.status, missing.err) == (1, f"error: {tmp_path}/none.txt: no such file\n")
    assert embed(embedder, texts, "-o", tmp_path / "out.csv").status == 2
    same = tmp_path / "in.jsonl"
    same.write_text('"text 1"\n')
    assert embed(embedder, same, "-o", same).status == 2
    assert same.read_text() == '"text 1"\n'


@pytest.mark.fault_server
def test_no_more_texts_are_read_than_are_in_flight(embedder, tmp_path):
    """A file larger than memory can be embedded: reading runs at most a window ahead of writing."""
    from xinference_bridge.cli import embed as module
    from xinference_bridge.cli.inputs import Row
    from xinference_bridge.connection import XinferenceConnection

    read = 0

    def rows():
        nonlocal read
        for number in range(1000):
            read += 1
            yield Row("f", number, f"text {number}")

    with XinferenceConnection(embedder.url) as connection:
        written = 0
        for held, _ in module._embedded(EmbeddingHandle(connection, "e"), rows(), batch_size=10, concurrency=3):
            written += len(held)
            assert read - written <= 10 * (2 * 3 + 2)  # two batches for each request in flight, one read, one written
    assert written == 1000


# Kinds of files


def written(path, kind, records):
    """A file of this kind with the records, each with a text and an id."""
    if kind == "csv":
        path.write_text("id,text\n" + "".join(f'{record["id"]},"{record["text"]}"\n' for record in records))
    elif kind == "tsv":
        path.write_text("text\tid\n" + "".join(f"{record['text']}\t{record['id']}\n" for record in records))
    elif kind == "json":
        path.write_text(json.dumps(records))
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path)
    return path


RECORDS = [{"id": "a", "text": "one, two\nand 1"}, {"id": "b", "text": "then 2"}]


@pytest.mark.fault_server
@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_texts_come_from_tables_with_the_fields_beside_them(embedder, tmp_path, kind):
    source, out = written(tmp_path / f"in.{kind}", kind, RECORDS), tmp_path / "out.jsonl"
    ran = embed(embedder, source, "-o", out)
    assert ran.status == 0, ran.err
    assert [(row["text"], row["fields"], row["embedding"]) for row in rows_of(out)] == [
        (RECORDS[0]["text"], {"id": "a"}, [1.0, 0.5]),
        (RECORDS[1]["text"], {"id": "b"}, [2.0, 0.5]),
    ]
    before = len(embedder.sent())
    assert "Nothing to do" in embed(embedder, source, "-o", out).err
    assert len(embedder.sent()) == before


@pytest.mark.fault_server
def test_another_column_holds_the_text_and_tabs_part_columns_too(embedder, tmp_path):
    source = written(tmp_path / "in.tsv", "tsv", [{"id": "x 3", "text": "unused"}])
    embed(embedder, source, "-o", tmp_path / "out.jsonl", "--field", "id")
    assert embedder.sent() == ["x 3"]


@pytest.mark.fault_server
def test_an_array_of_bare_texts_is_read(embedder, tmp_path):
    source = written(tmp_path / "in.json", "json", ["text 1", "text 2"])
    embed(embedder, source, "-o", tmp_path / "out.jsonl")
    assert embedder.sent() == ["text 1", "text 2"]


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "a.pdf",
            b"%PDF-1.7",
            ".pdf files are not supported; extract its text first. Supported: one text",
        ),
        ("a.docx", b"PK", ".docx files are not supported"),
        ("a.txt", b"\x00\x01", "contains binary data"),
        ("a.json", b'{"text": "x"}', "must contain a JSON array of strings or objects, got an object"),
        ("a.json", b'{"text": "x"}\n{"text": "y"}', "For one object per line, use the suffix .jsonl"),
        ("a.parquet", b"no parquet", "is not Parquet"),
        ("a.csv", b"id,body\n1,text 1\n", "line 2: no text in the field 'text'; it has id, body. Use --field"),
        ("a.csv", b"id,text\n1,text 1, and more\n", "line 2: has more cells than the header"),
        (
            "a.csv",
            b'text\ntext 1\n"unclosed\nline2\n',
            "line 3: is not CSV (unexpected end of data; a quote that opens",
        ),
        ("a.csv", b"text,n,n\ntext 1,2,3\n", "two columns are named 'n'; rename one"),
        ("a.json", b'[{"text": "text 1"}, {"text": null}]', "row 2: no text in the field 'text'; it is empty"),
        ("a.jsonl", b'{"text": " "}\n', "line 1: the text in the field 'text' is empty. Use --skip-bad to skip it"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(embedder, tmp_path, name, content, complaint):
    source = tmp_path / name
    source.write_bytes(content)
    ran = embed(embedder, source, "-o", tmp_path / "out.jsonl")
    assert ran.status == 1
    assert f"{source}" in ran.err
    assert complaint in ran.err


@pytest.mark.fault_server
def test_bad_entries_are_left_out_and_counted_where_that_is_asked_for(embedder, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b'{"text": "text 1"}\n{"txt": "x"}\n{"text": \n"\xe9"\n{"text": ""}\n{"text": "text 2"}\n')
    ran = embed(embedder, source, "-o", out, "--skip-bad")
    assert ran.status == 0
    assert embedder.sent() == ["text 1", "text 2"]
    lines = ran.err.splitlines()
    assert [line.partition(": ")[0] for line in lines[:-1]] == ["skipped"] * 3  # the first three
    assert f"{source}, line 2: no text in the field 'text'" in lines[0]
    assert lines[-1].endswith("4 entries without a text skipped.")
    again = embed(embedder, source, "-o", out, "--skip-bad")
    assert "already contains 2 vectors" in again.err
    assert len(embedder.sent()) == 2


@pytest.mark.fault_server
def test_a_shell_s_pipe_is_embedded_like_a_file(embedder):
    with filled_pipe(b"text 1\ntext 2\n") as pipe:
        ran = embed(embedder, pipe)
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == ["text 1", "text 2"]


@pytest.mark.fault_server
def test_a_folder_is_no_file_of_texts(embedder, tmp_path):
    ran = embed(embedder, tmp_path)
    assert ran.status == 1
    assert f"{tmp_path}: Is a directory" in ran.err


@pytest.mark.fault_server
def test_a_cell_may_be_as_long_as_a_chapter(embedder, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(f"text\n{'long ' * 40_000}7\n")
    assert embed(embedder, source).status == 0
    assert len(embedder.sent()[0]) == 200_001


@pytest.mark.fault_server
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_long_integers_stay_as_they_were(embedder, tmp_path, name):
    import pyarrow.parquet

    source, out = tmp_path / "in.jsonl", tmp_path / name
    source.write_text('{"text": "text 1", "id": 123456789012345678901234567890}\n')
    assert embed(embedder, source, "-o", out).status == 0
    if name == "out.parquet":
        fields = json.loads(pyarrow.parquet.read_table(out).to_pylist()[0]["fields"])
    else:
        fields = rows_of(out)[0]["fields"]
    assert fields == {"id": 123456789012345678901234567890}
    assert "already contains 1 vector" in embed(embedder, source, "-o", out).err


@pytest.mark.fault_server
def test_bytes_and_columns_of_one_name_in_parquet_are_refused_by_name(embedder, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    source = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pa.table({"text": ["text 1"], "raw": [b"\xff"]}), source)
    assert "row 1: the field 'raw' holds bytes" in embed(embedder, source).err
    pyarrow.parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "n", "n"]), source)
    assert f"{source}: two columns are named 'n'" in embed(embedder, source).err
    assert embedder.sent() == []


@pytest.mark.fault_server
def test_a_float_that_is_no_number_becomes_null_and_a_date_text(embedder, tmp_path):
    import datetime as dt

    source = written(
        tmp_path / "in.parquet", "parquet", [{"text": "text 1", "n": float("nan"), "on": dt.date(2026, 1, 2)}]
    )
    assert json.loads(embed(embedder, source).out)["fields"] == {"n": None, "on": "2026-01-02"}


@pytest.mark.fault_server
def test_a_damaged_parquet_page_is_reported_with_its_file(embedder, tmp_path):
    source = written(tmp_path / "in.parquet", "parquet", [{"text": f"text {n}"} for n in range(500)])
    content = bytearray(source.read_bytes())
    content[4:40] = b"\xff" * 36
    source.write_bytes(content)
    ran = embed(embedder, source)
    assert ran.status == 1
    assert f"{source}" in ran.err
    assert "unexpected" not in ran.err


@pytest.mark.fault_server
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_not_utf_8_is_embedded(embedder, tmp_path):
    source = tmp_path / os.fsdecode(b"caf\xe9.txt")
    source.write_text("text 1\n")
    ran = embed(embedder, source, "-o", "out.jsonl")
    assert ran.status == 0
    assert rows_of(tmp_path / "out.jsonl")[0]["file"].endswith("caf\\xe9.txt")


@pytest.mark.fault_server
def test_a_damaged_output_is_reported_with_its_file(embedder, texts, tmp_path):
    out = tmp_path / "out.parquet"
    embed(embedder, texts, "-o", out)
    content = bytearray(out.read_bytes())
    content[4:40] = b"\xff" * 36
    out.write_bytes(content)
    ran = embed(embedder, texts, "-o", out)
    assert ran.status == 1
    assert f"{out}" in ran.err
    assert "unexpected" not in ran.err
