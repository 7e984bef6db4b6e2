"""The public model: it was not trained on the tests, and both engines run the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import requests

pytestmark = pytest.mark.server


def _ask(lab: Any, uid: str, **more: Any) -> dict[str, Any]:
    body = {
        "model": uid,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "temperature": 0,
        "max_tokens": 24,
    }
    headers = {"Authorization": f"Bearer {lab.api_key}"}
    answer = requests.post(f"{lab.url}/v1/chat/completions", json=body | more, headers=headers, timeout=300)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


@pytest.mark.parametrize("uid", ["smollm2", "smollm2-tools", "smollm2-hf"])
def test_smollm2_answers_in_words(lab, uid):
    answer = _ask(lab, uid)
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["completion_tokens"] > 0


def test_the_dequantised_weights_are_the_gguf_s(lab):
    question = [{"role": "user", "content": "Name three colours."}]
    answers = [_ask(lab, uid, messages=question) for uid in ("smollm2", "smollm2-hf")]
    assert len({answer["usage"]["prompt_tokens"] for answer in answers}) == 1
    # llama.cpp computes with eight bits, so the words part after a while, and after some questions at once.
    starts = {" ".join(answer["choices"][0]["message"]["content"].split()[:8]) for answer in answers}
    assert len({start.rstrip(",") for start in starts}) == 1
