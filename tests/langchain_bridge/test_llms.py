"""XinferenceLLM: text in, text out, on every engine."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate

from langchain_xinference_bridge import Xinference, XinferenceLLM
from langchain_xinference_bridge.errors import XinferenceConfigurationError


@pytest.fixture
def llm(uid, connection):
    return XinferenceLLM(model=uid, connection=connection, temperature=0, max_tokens=12)


@pytest.mark.server
async def test_every_method_returns_the_same_text(llm):
    whole = llm.invoke("What is the capital of France?")
    assert whole
    assert await llm.ainvoke("What is the capital of France?") == whole
    assert "".join(llm.stream("What is the capital of France?")) == whole
    assert "".join([text async for text in llm.astream("What is the capital of France?")]) == whole


@pytest.mark.server
def test_a_model_that_only_chats_is_asked_by_the_chat_endpoint(connection):
    # /v1/completions on it: 500 `'str' object has no attribute 'get'`, though "generate" is among its abilities.
    llm = Xinference(model="tiny-chat-hf", connection=connection, temperature=0)
    assert llm.invoke("Name three colors.") == "Red, green and blue."


@pytest.mark.slow
@pytest.mark.server
async def test_a_batch_keeps_its_order_and_adds_up_its_tokens(connection):
    llm = XinferenceLLM(model="tiny-chat-hf", connection=connection, temperature=0)
    prompts = ["Name three colors.", "What is 2 + 2?", "What is the capital of France?"]
    expected = ["Red, green and blue.", "2 + 2 is 4.", "The capital of France is Paris."]
    assert llm.batch(prompts) == expected
    assert llm.batch(prompts, {"max_concurrency": 2}) == expected
    assert await llm.abatch(prompts) == expected
    result = llm.generate(prompts)
    assert result.llm_output["model_name"] == "tiny-chat-hf"
    usage = result.llm_output["token_usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert [generations[0].generation_info["finish_reason"] for generations in result.generations] == ["stop"] * 3


@pytest.mark.server
def test_stop_words_end_the_answer(connection):
    llm = XinferenceLLM(model="tiny-chat-hf", connection=connection, temperature=0)
    assert "7" not in llm.invoke("Count from 1 to 10.", stop=["7"])
    assert "7" not in llm.bind(stop=["7"]).invoke("Count from 1 to 10.")


@pytest.mark.server
def test_the_last_chunk_has_the_metadata_once(llm):
    class Told(BaseCallbackHandler):
        tokens: list[str] = []  # noqa: RUF012

        def on_llm_new_token(self, token, **kwargs):
            self.tokens.append(token)

        def on_llm_end(self, response, **kwargs):
            self.info = response.generations[0][0].generation_info

    told = Told()
    text = "".join(llm.stream("Name three colors.", {"callbacks": [told]}))
    assert "".join(told.tokens) == text
    assert told.info["finish_reason"] in ("stop", "length")
    assert told.info["token_usage"]["completion_tokens"] > 0
    assert told.info["model_name"] == llm.model_uid


@pytest.mark.server
def test_an_old_chain_runs_with_the_old_call(connection, lab):
    llm = Xinference(server_url=lab.url, model_uid="tiny-chat-hf", api_key=lab.api_key)
    prompt = PromptTemplate.from_template("Q: where can we visit in the capital of {country}? A:")
    chain = prompt | llm | StrOutputParser()
    config = {"max_tokens": 60, "temperature": 0, "stream": True}
    assert chain.bind(generate_config=config).invoke({"country": "France"}).startswith("In Paris you can visit")
    assert llm.invoke(prompt.format(country="France"), generate_config=config).startswith("In Paris you can visit")


def test_a_misspelt_parameter_of_a_call_is_an_error():
    with pytest.raises(XinferenceConfigurationError, match="did you mean 'max_tokens'"):
        XinferenceLLM("http://example.org", "m").invoke("x", max_token=3)


def test_what_is_traced():
    params = XinferenceLLM(model="m", temperature=0.5)._get_ls_params()
    assert (params["ls_provider"], params["ls_model_name"], params["ls_temperature"]) == ("xinference", "m", 0.5)
