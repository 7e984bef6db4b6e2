"""Unusual environments: an unrelated `.env`, a deleted folder, tokens and UIDs that cannot be sent."""

from __future__ import annotations

import base64
import json
import os

import pytest

from tests.core.asks import MODES, ask, connection_to
from tests.support.fault_proxy import FaultServer, http
from xinference_bridge import (
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceError,
    XinferenceProtocolError,
)
from xinference_bridge.client.auth.login import expiry_of
from xinference_bridge.protocol.model_info import describe_request

ELSEWHERE = "XINFERENCE_ENDPOINT=http://elsewhere.example:9997\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["XINFERENCE_API_KEY", "XINFERENCE_PASSWORD"])
def test_a_dotenv_that_redirects_a_credential_of_the_environment_warns(folder, monkeypatch, name: str):
    (folder / ".env").write_text(ELSEWHERE)
    monkeypatch.setenv(name, "secret-of-the-environment")
    monkeypatch.setenv("XINFERENCE_USERNAME", "ada")
    with pytest.warns(UserWarning, match=r"elsewhere\.example.*will be sent there") as warned:
        assert XinferenceConnection().server_url == "http://elsewhere.example:9997"
    assert "secret-of-the-environment" not in str(warned[0].message)


def test_a_dotenv_with_server_and_key_does_not_warn(folder):
    (folder / ".env").write_text(ELSEWHERE + "XINFERENCE_API_KEY=sk-own\n")
    assert XinferenceConnection().server_url == "http://elsewhere.example:9997"


def test_a_dotenv_beside_a_server_of_the_environment_does_not_warn(folder, monkeypatch):
    (folder / ".env").write_text(ELSEWHERE)
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://mine.example:9997")
    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-mine")
    assert XinferenceConnection().server_url == "http://mine.example:9997"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_dotenv_of_another_encoding_is_named(folder, encoding: str):
    (folder / ".env").write_bytes(ELSEWHERE.encode(encoding))
    with pytest.raises(XinferenceConfigurationError, match=r"\.env.*UTF-8"):
        XinferenceConnection()


def test_a_dotenv_with_a_byte_order_mark_is_read(folder):
    (folder / ".env").write_bytes(ELSEWHERE.encode("utf-8-sig"))
    assert XinferenceConnection().server_url == "http://elsewhere.example:9997"


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be deleted there")
def test_a_deleted_working_directory_holds_no_dotenv(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert XinferenceConnection("http://mine.example:9997").server_url == "http://mine.example:9997"


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1080", "ftp://ada:pa55@proxy", "http://", "http://a:pa55@b:port"]
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(proxy: str):
    with pytest.raises(XinferenceConfigurationError, match="proxy") as caught:
        XinferenceConnection("http://mine.example:9997", proxy=proxy)
    assert "pa55" not in str(caught.value)


def test_a_proxy_without_a_scheme_is_an_http_one():
    assert XinferenceConnection("http://mine.example", proxy="127.0.0.1:3128").proxy == "http://127.0.0.1:3128"


@pytest.mark.parametrize("mode", MODES)
def test_a_socks_proxy_of_the_environment_is_refused_in_both_modes(mode: str, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(XinferenceConfigurationError, match="SOCKS"):
        ask(mode, connection_to("http://far.example:9997"), "embeddings")


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_ca_bundle_that_is_missing_does_not_matter_over_http(server: FaultServer, mode: str):
    ask(mode, connection_to(server, verify="/nowhere/ca.pem", cert="/nowhere/cert.pem"), "embeddings")


@pytest.mark.parametrize("uid", ["\ud800", "a\udfff"])
def test_a_uid_that_is_no_text_is_refused(uid: str):
    with pytest.raises(XinferenceConfigurationError, match="not valid Unicode"):
        describe_request(uid)


def jwt(claims: str) -> str:
    return f"head.{base64.urlsafe_b64encode(claims.encode()).decode()}.tail"


@pytest.mark.parametrize(
    "claims",
    ['{"exp":1' + "0" * 400 + "}", '{"exp":1e999}', '{"exp":"x"}', '{"exp":[]}', "[" * 100_000, '{"exp":NaN}', "7", ""],
    ids=["huge", "infinite", "text", "list", "deep", "nan", "number", "empty"],
)
def test_a_jwt_that_makes_no_sense_has_no_end(claims: str):
    assert expiry_of(jwt(claims)) is None


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "login",
    [
        json.dumps({"access_token": "a\r\nx-evil: 1"}),
        json.dumps({"access_token": "schl\u00fcssel"}),
        json.dumps({"access_token": "\u0416"}),
        json.dumps({"access_token": 7}),
        json.dumps({"access_token": ""}),
        "[" * 100_000,
        '{"access_token":' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=["line break", "latin", "cyrillic", "number", "empty", "deep", "deep token"],
)
def test_a_login_answer_that_cannot_be_used_is_an_error_of_ours(server: FaultServer, mode: str, login: str):
    server.on("/token", http(200, login.encode()))
    with pytest.raises(XinferenceProtocolError, match="access token"):
        ask(mode, connection_to(server, username="ada", password="battery"), "embeddings")
    assert {seen.path for seen in server.requests} == {"/token"}  # nothing is sent with it


def test_every_error_says_its_message_without_controls():
    error = XinferenceError("a\x1b[2Jb\u202ec\nd", body="\x07").with_note("\x9b")
    assert str(error) == "a\\x1b[2Jb\\u202ec\nd. \\x9b"
    assert error.body == "\\x07"
