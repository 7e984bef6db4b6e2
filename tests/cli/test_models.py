"""The running models as a table for people, for pipes and for programs."""

from __future__ import annotations

import json

import pytest

from tests.cli.tools import model, run, to_lab, xinference

CHAT = model(
    "qwen3-0.6b-instruct-of-our-team",
    model_name="qwen3",
    model_format="ggufv2",
    model_size_in_billions="0_6",
    quantization="Q4_K_M",
    model_engine="llama.cpp",
    model_ability=["generate", "chat", "tools", "reasoning", "hybrid"],
    context_length=40960,
    replica=2,
)


@pytest.mark.server
def test_the_lab_s_models_stand_in_a_table_and_in_json(lab):
    table = run("models", *to_lab(lab)).out.splitlines()
    assert table[0].split()[:3] == ["UID", "Type", "Name"]
    rows = {line.split()[0]: line.split() for line in table[2:]}
    assert rows["minilm"][1:3] == ["embedding", "all-MiniLM-L6-v2"]
    assert rows["tiny-rerank"][1:3] == ["rerank", "tiny-rerank"]
    as_json = {entry["uid"]: entry for entry in json.loads(run("models", "--json", *to_lab(lab)).out)}
    assert as_json.keys() == rows.keys()
    assert as_json["minilm"]["dimensions"] == 384


@pytest.mark.fault_server
def test_piped_every_model_is_one_whole_line_without_colours(server, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    ran = run("models", "--server-url", xinference(server, CHAT).url)
    row = ran.out.splitlines()[2]
    assert row.split() == [
        "qwen3-0.6b-instruct-of-our-team",
        "LLM",
        "qwen3",
        "ggufv2",
        "0.6",
        "Q4_K_M",
        "llama.cpp",
        "generate,chat,tools,reasoning,hybrid",
        "40960",
        "2",
    ]
    assert "\x1b" not in ran.out


@pytest.mark.fault_server
def test_columns_that_no_model_fills_are_left_out(server):
    ran = run("models", "--server-url", xinference(server, model("e", "embedding", dimensions=8)).url)
    assert "Dimensions" in ran.out
    assert "Context" not in ran.out


@pytest.mark.fault_server
def test_what_a_server_says_cannot_steer_the_terminal(server):
    ran = run("models", "--server-url", xinference(server, model("a", model_name="x\x1b[2Jy")).url)
    assert "x\\x1b[2Jy" in ran.out


@pytest.mark.fault_server
def test_no_models_are_no_table(server):
    ran = run("models", "--server-url", xinference(server).url)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == f"No model runs at {server.url}.\n"
    assert json.loads(run("models", "--json", "--server-url", server.url).out) == []
