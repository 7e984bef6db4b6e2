"""The options that say how to reach a server, and errors in their words."""

from __future__ import annotations

import inspect
import re

import pytest

from tests.cli.tools import model, run, xinference
from tests.support.fault_proxy import http
from xinference_bridge import XinferenceConnection, errors
from xinference_bridge.cli.doctor import Examination
from xinference_bridge.cli.options import Common
from xinference_bridge.cli.wording import as_options
from xinference_bridge.protocol import connection_errors


def built(monkeypatch, *arguments):
    """The connection that `models` with these options would ask."""
    found = []

    def models(self):
        found.append(self)
        return []

    monkeypatch.setattr(XinferenceConnection, "models", models)
    ran = run("models", *arguments)
    assert ran.status == 0, ran.err
    return found[0]


def test_a_ca_bundle_a_header_and_a_proxy_reach_the_connection(monkeypatch, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    options = ["--ca", str(bundle), "--header", "X-Team: search: all", "--header", "X-Two:2", "--proxy", "http://p:1"]
    connection = built(monkeypatch, *options)
    assert connection.verify == str(bundle)
    assert dict(connection.headers) == {"X-Team": "search: all", "X-Two": "2"}
    assert connection.proxy == "http://p:1"


def test_insecure_does_not_check_the_certificate(monkeypatch):
    assert built(monkeypatch, "--insecure").verify is False
    assert built(monkeypatch).verify is not False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ca", "/nowhere.pem"], "--ca /nowhere.pem: no such file"),
        (["--ca", __file__, "--insecure"], "--ca and --insecure exclude each other"),
        (["--header", "hush-hush"], "--header takes 'NAME: VALUE'"),
        (["--timeout", "0"], "--timeout: Input should be greater than 0"),
    ],
)
def test_an_invalid_option_is_a_usage_error_that_names_it(arguments, told):
    ran = run("models", *arguments)
    assert ran.status == 2
    assert told in re.sub(r"[│\s]+", " ", ran.err)
    assert "hush" not in ran.err


@pytest.mark.fault_server
def test_a_header_s_value_is_starred_out_of_what_is_printed(server):
    server.on("/v1/models", http(400, b'{"detail": "what is hush-hush?"}'))
    ran = run("models", "-e", server.url, "--header", "X-Key: hush-hush", "--debug")
    assert ran.status == 1
    assert "hush" not in ran.err


#: Python's words for arguments, which say nothing at the command line.
_PYTHON = re.compile(
    r"\b(server_url|api_key|username|password|timeout|connect_timeout|verify|headers|proxy)=|server_url"
)


@pytest.mark.parametrize(
    "error",
    [
        connection_errors.cannot_connect("http://a:1", "refused", in_container=False),
        connection_errors.connect_timed_out("http://a:1", 2.0, in_container=False),
        connection_errors.read_timed_out("http://a:1", 2.0),
        connection_errors.tls_failed("https://a:1", "wrong version number"),
        connection_errors.tls_failed("https://a:1", "self-signed certificate"),
        connection_errors.not_http("http://a:1", "ssh"),
    ],
    ids=lambda error: error.message[:30],
)
def test_an_error_of_the_core_names_options(error):
    assert not _PYTHON.search(as_options(error.message))


@pytest.mark.fault_server
def test_a_missing_credential_is_asked_for_by_option(server):
    server.on("/v1/models", http(401, b'{"detail": "Not authenticated"}'))
    ran = run("models", "-e", server.url)
    assert "--api-key" in ran.err
    assert not _PYTHON.search(ran.err)


@pytest.mark.fault_server
def test_the_doctor_waits_no_longer_than_its_timeout(server):
    xinference(server, model("c"))
    looks = []
    examination = Examination(Common({"server_url": server.url, "timeout": 0.5}), "c")
    send = XinferenceConnection(server.url).client.__class__.send

    def seen(self, request, options):
        looks.append(options)
        return send(self, request, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(XinferenceConnection(server.url).client.__class__, "send", seen)
        list(examination.steps())
    assert looks
    assert {(o.timeout, o.connect_timeout, o.deadline, o.max_retries) for o in looks} == {(0.5, 0.5, 0.5, 0)}


def test_every_exception_of_the_core_can_be_told_as_options():
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, errors.XinferenceError):
            assert as_options(str(kind("give api_key= or username=."))) == "give --api-key or --username."
