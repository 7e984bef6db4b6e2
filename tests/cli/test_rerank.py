"""`rerank`: the texts of a file, the most relevant first."""

from __future__ import annotations

import json

import orjson
import pytest

from tests.cli.tools import filled_pipe, model, run, to_lab, xinference
from tests.support.fault_proxy import http

TEXTS = ["Bread is baked in an oven.", "The sea is salty.", "Ships sail on the sea."]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


@pytest.mark.server
def test_every_text_is_ranked_with_its_score_and_line_the_best_first(lab, texts):
    ran = run("rerank", *to_lab(lab), "tiny-rerank", "the sea", texts)
    assert ran.status == 0
    rows = [line.split(maxsplit=2) for line in ran.out.splitlines()]
    assert sorted(text for _, _, text in rows) == sorted(TEXTS)
    assert all(TEXTS[int(number) - 1] == text for _, number, text in rows)
    scores = [float(score) for score, _, _ in rows]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.server
def test_json_carries_the_other_fields_of_a_record(lab, tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps({"id": place, "body": text}) + "\n" for place, text in enumerate(TEXTS)))
    ran = run("rerank", *to_lab(lab), "tiny-rerank", "the sea", path, "--field", "body", "--json", "--top-n", "1")
    (best,) = json.loads(ran.out)
    assert best["text"] == TEXTS[best["fields"]["id"]]


@pytest.mark.server
def test_a_model_of_another_type_is_refused_with_the_ones_that_can(lab, texts):
    ran = run("rerank", *to_lab(lab), "minilm", "the sea", texts)
    assert (ran.status, ran.out) == (1, "")
    assert "tiny-rerank" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.fault_server
def test_a_long_file_goes_in_parts_and_is_one_ranking(server):
    def answer(request):
        if request.path != "/v1/rerank":
            return None
        numbers = [int(text) for text in orjson.loads(request.body)["documents"]]
        results = [{"index": place, "relevance_score": number / 1000} for place, number in enumerate(numbers)]
        return (http(200, orjson.dumps({"results": results})),)

    server.answer = answer
    xinference(server, model("r", "rerank"))
    piped = "".join(f"{number}\n" for number in range(600))
    ran = run("rerank", "--server-url", server.url, "r", "q", "-", "--top-n", "3", piped=piped)
    assert [line.split() for line in ran.out.splitlines()] == [
        ["0.5990", "600", "599"],
        ["0.5980", "599", "598"],
        ["0.5970", "598", "597"],
    ]
    assert len(server.seen("/v1/rerank")) == 3


@pytest.mark.fault_server
def test_a_shell_s_pipe_is_read_from_its_first_line(server):
    server.answer = lambda request: (
        (http(200, b'{"results": [{"index": 0, "relevance_score": 0.2}, {"index": 1, "relevance_score": 0.1}]}'),)
        if request.path == "/v1/rerank"
        else None
    )
    xinference(server, model("r", "rerank"))
    with filled_pipe(b"first\nsecond\n") as pipe:
        ran = run("rerank", "--server-url", server.url, "r", "q", pipe)
    assert [line.split()[-1] for line in ran.out.splitlines()] == ["first", "second"]
