"""Error messages that beginners see name the likely cause first, and end with one full stop."""

from __future__ import annotations

import importlib

import pytest

import xinference_bridge
from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings, XinferenceLLM, XinferenceRerank
from xinference_bridge import XinferenceConfigurationError
from xinference_bridge.protocol.connection_errors import cannot_connect, port_hint, tls_failed


def test_in_a_container_both_causes_of_a_refused_loopback_are_named():
    message = cannot_connect("http://127.0.0.1:9997/v1/models", "refused", in_container=True).message
    assert "Either the server is not running, or it runs outside this container" in message
    assert "http://host.docker.internal:9997" in message


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://gpu-box", "http://gpu-box:9997"),
        ("http://gpu-box/v1/models", "http://gpu-box:9997"),
        ("http://[::1]", "http://[::1]:9997"),
        ("http://gpu-box:8000", None),
        ("https://gpu-box", None),
    ],
)
def test_an_address_without_a_port_is_told_of_9997(url, told):
    hint = port_hint(url)
    assert told in hint if told else not hint
    assert hint in cannot_connect(url, "refused", in_container=False).message


@pytest.mark.parametrize(
    "why",
    [
        "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)",
        "[SSL: RECORD_LAYER_FAILURE] record layer failure (_ssl.c:1010)",
        "[SSL: HTTP_REQUEST] http request (_ssl.c:1006)",
    ],
)
def test_https_to_a_server_without_tls_says_http_first(why):
    assert "use http:// in server_url (http://gpu:9997)." in tls_failed("https://gpu:9997/v1/models", why).message


def test_a_certificate_that_is_refused_is_told_with_its_reason():
    message = tls_failed("https://gpu:9997/v1", "certificate verify failed: self-signed certificate.").message
    assert message.startswith("No secure connection to https://gpu:9997 (certificate verify failed: self-signed cert")
    assert ".." not in message


@pytest.mark.parametrize("kind", [ChatXinference, XinferenceLLM, XinferenceEmbeddings, XinferenceRerank])
def test_a_model_in_the_place_of_the_url_is_told_what_the_first_argument_is(kind):
    with pytest.raises(XinferenceConfigurationError) as caught:
        kind("qwen3")
    assert str(caught.value) == (
        f"{kind.__name__}('qwen3'): the first argument is the server's URL. Pass the model by name: "
        f"{kind.__name__}(model_uid='qwen3')."
    )


@pytest.mark.parametrize("name", xinference_bridge._ELSEWHERE)
def test_a_class_of_a_bridge_looked_for_in_the_core_names_its_package(name):
    with pytest.raises(ImportError, match=rf"from \w+ .*import {name}$|from \w+ import {name}$") as caught:
        exec(f"from xinference_bridge import {name}")
    for package in str(caught.value).partition("from ")[2].partition(" import")[0].split(" or "):
        assert hasattr(importlib.import_module(package), name)


def test_an_unknown_name_raises_attribute_error():
    assert not hasattr(xinference_bridge, "no_such_thing")
