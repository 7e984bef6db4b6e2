"""A corpus is embedded on two workers: each row once, and no written row again, however the job ended."""

from __future__ import annotations

import pyarrow.parquet as pq

from tests.corpora.conftest import kill, wait_until

ALL = sorted(f"text {name} {number}" for name in "abc" for number in range(10))


def test_each_row_is_embedded_once_and_by_two_workers_and_a_second_run_asks_for_nothing(job):
    status, said, _ = job.run()
    assert status == 0
    assert "30 vectors stand in" in said
    rows = job.rows()
    assert [row["text"] for row in rows] == ALL
    assert all(row["id"] == row["text"].removeprefix("text ").replace(" ", "") for row in rows)
    assert {len(row["embedding"]) for row in rows} == {384}
    assert sorted(job.relay.begin_anew()) == ALL
    assert len(job.relay.workers) == 2
    status, said, _ = job.run()
    assert status == 0
    assert "30 vectors stand in" in said
    assert job.relay.texts == []
    assert job.rows() == rows


def test_killed_in_the_middle_it_goes_on_where_it_stopped(job):
    job.relay.room_for = 16
    first = job.start()
    try:
        wait_until(lambda: len(job.rows()) >= 8 and len(job.relay.texts) > 16)
    finally:
        kill(first)
    written = job.texts()
    assert 8 <= len(written) < 30
    job.relay.begin_anew()
    status, _, _ = job.run()
    assert status == 0
    assert sorted(job.relay.texts + written) == ALL
    assert job.texts() == ALL


def test_a_wrong_key_is_one_error_and_one_refusal(job):
    job.key = "sk-of-nobody-at-all"
    status, said, complaint = job.run()
    assert (status, said) == (1, "")
    assert complaint.startswith("XinferenceAuthenticationError: ")
    assert "Traceback" not in complaint
    assert job.relay.refused == 1
    assert job.relay.texts == []


def test_a_batch_that_fails_is_named_and_what_was_written_stays(job):
    job.relay.fails_at = {"text b 5"}
    status, _, complaint = job.run()
    assert status == 1
    last = complaint.splitlines()[-1]
    assert last.startswith("XinferenceServerError: ")
    assert "CUDA out of memory" in last
    assert "b.parquet, rows 4 on" in last or "from id b4 on" in last
    written = job.texts()
    job.relay.fails_at = set()
    job.relay.begin_anew()
    assert job.run()[0] == 0
    assert set(job.relay.texts).isdisjoint(written)
    assert job.texts() == ALL


def test_a_corpus_that_got_another_file_is_embedded_on(job):
    job.run()
    job.relay.begin_anew()
    job.add("d", {"d0": "text d 0", "d1": "text d 1"})
    assert job.run()[0] == 0
    assert sorted(job.relay.texts) == ["text d 0", "text d 1"]
    assert job.texts() == sorted([*ALL, "text d 0", "text d 1"])


def test_vectors_of_two_models_are_never_mixed(job):
    job.run()
    rows = job.rows()
    # The vectors would have the same length as the others, so the error would not be noticed.
    for path in [*job.out.glob("*.parquet"), *job.out.with_name("out.job").glob("job.json")]:
        if path.suffix == ".json":
            path.write_text(path.read_text().replace("minilm", "another"))
        elif b"model" in (pq.read_metadata(path).metadata or {}):
            pq.write_table(pq.read_table(path).replace_schema_metadata({"model": "another"}), path)
    job.relay.begin_anew()
    status, _, complaint = job.run()
    assert status == 1
    assert "'another', not of 'minilm': choose another folder" in complaint
    assert job.relay.texts == []
    assert job.rows() == rows


def test_dask_sends_a_text_that_changed_and_no_other_of_its_file(job_on):
    job = job_on("dask")
    job.run()
    before = {row["id"]: row["embedding"] for row in job.rows()}
    job.relay.begin_anew()
    job.add("b", {f"b{number}": f"text b {number}" if number != 5 else "a wholly new text" for number in range(12)})
    assert job.run()[0] == 0
    assert sorted(job.relay.texts) == ["a wholly new text", "text b 10", "text b 11"]
    after = {row["id"]: row["embedding"] for row in job.rows()}
    assert len(after) == len(job.rows()) == 32
    assert {name for name, vector in before.items() if after[name] != vector} == {"b5"}


def test_dask_refuses_a_folder_that_holds_rows_which_the_corpus_has_lost(job_on):
    job = job_on("dask")
    job.run()
    job.relay.begin_anew()
    (job.corpus / "c.parquet").unlink()
    status, _, complaint = job.run()
    assert status == 1
    assert "c-00000-000000000.parquet is no part of this corpus" in complaint
    assert job.relay.texts == []


def test_ray_refuses_a_file_that_changed(job_on):
    job = job_on("ray")
    job.run()
    job.relay.begin_anew()
    job.add("b", {"b5": "a wholly new text"})
    status, _, complaint = job.run()
    assert status == 1
    assert "b.parquet is not what it was" in complaint
    assert job.relay.texts == []
