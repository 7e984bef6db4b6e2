"""The answers of the lab's models to plain requests; those of models with random weights have no meaning."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import requests

DATA = Path(__file__).parents[1] / "data"
RED, BLUE = (
    "data:image/png;base64," + base64.b64encode((DATA / f"{name}.png").read_bytes()).decode()
    for name in ("red", "blue")
)

pytestmark = pytest.mark.server


@pytest.fixture
def post(lab):
    """Sends one request with the lab's key; the answer has the status 200."""

    def sent(path, **options):
        headers = {"Authorization": f"Bearer {lab.api_key}"}
        answer = requests.post(f"{lab.url}/v1/{path}", headers=headers, timeout=600, **options)
        assert answer.status_code == 200, answer.text
        return answer

    return sent


@pytest.fixture
def ask(post):
    """As `post`, with a JSON body; gives the JSON of the answer."""
    return lambda path, **body: post(path, json=body).json()


@pytest.fixture
def hear(post):
    """Has Whisper listen to a file of tests/data."""

    def heard(path, name, **form):
        file = {"file": (name, (DATA / name).read_bytes(), "audio/wav")}
        return post(f"audio/{path}", data={"model": "whisper", **form}, files=file).json()

    return heard


def test_whisper_hears_english(hear):
    assert hear("transcriptions", "capital_en.wav")["text"].strip() == "The capital of France is Paris."


def test_whisper_gives_segments_with_their_times(hear):
    answer = hear("transcriptions", "capital_en.wav", response_format="verbose_json")
    assert [sorted({"start", "end", "text"} - set(segment)) for segment in answer["segments"]] == [[]]


def test_whisper_translates_french_into_english(hear):
    assert "the capital of" in hear("translations", "capital_fr.wav")["text"].lower()


@pytest.mark.parametrize(("kind", "magic"), [("mp3", (b"ID3", b"\xff")), ("wav", b"RIFF"), ("flac", b"fLaC")])
def test_kokoro_speaks(post, kind, magic):
    body = {"model": "kokoro", "input": "Hello.", "voice": "af_heart", "response_format": kind}
    assert post("audio/speech", json=body).content.startswith(magic)


@pytest.mark.parametrize("item", [{"text": "red"}, {"image": RED}, "red"])
def test_clip_embeds_texts_and_pictures(ask, item):
    assert len(ask("embeddings", model="tiny-clip", input=[item])["data"][0]["embedding"]) == 64


def test_bge_m3_embeds_sparsely(ask):
    [vector] = ask("embeddings", model="bge-m3", input=["The capital of France"], return_sparse=True)["data"]
    assert vector["object"] == "sparse_embedding"
    assert all(int(token) >= 0 < weight for token, weight in vector["embedding"].items())


def test_qwen3_vl_embeds_text_and_picture_in_one(ask):
    [vector] = ask("embeddings", model="qwen3-vl-embedding", input={"text": "red", "image": RED})["data"]
    assert len(vector["embedding"]) == 2048


@pytest.mark.parametrize("model", ["qwen3-vl-reranker", "jina-reranker-m0"])
def test_a_red_picture_ranks_first_for_red(ask, model):
    documents = [{"image": BLUE}, {"image": RED}, {"text": "green"}]
    results = ask("rerank", model=model, query="red", documents=documents)["results"]
    assert results[0]["index"] == 1


def test_stable_diffusion_draws_a_jpeg(ask):
    answer = ask("images/generations", model="tiny-sd", prompt="a cat", size="64*64", response_format="b64_json")
    assert base64.b64decode(answer["data"][0]["b64_json"]).startswith(b"\xff\xd8\xff")


def test_ocr_reads_a_picture(post):
    file = {"image": ("red.png", (DATA / "red.png").read_bytes(), "image/png")}
    answer = post("images/ocr", data={"model": "jina-ocr"}, files=file).json()
    assert "Seen: red, 32x32." in answer


def test_qwen2_vl_takes_a_picture_in_a_chat(ask):
    parts = [{"type": "image_url", "image_url": {"url": RED}}, {"type": "text", "text": "What is this?"}]
    message = {"role": "user", "content": parts}
    answer = ask("chat/completions", model="tiny-vl", messages=[message], max_tokens=8, temperature=0)
    assert isinstance(answer["choices"][0]["message"]["content"], str)
