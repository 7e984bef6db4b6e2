"""The options for the connection to the server, and errors that name the options."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.cli.tools import model, run, says, xinference
from tests.core.test_transport_settings import certificate, needs_openssl, over_tls  # noqa: F401 - a fixture
from tests.support.fault_proxy import Do, http, unused_port
from xinference_bridge.cli import doctor, network_checks
from xinference_bridge.cli.option_names import OPTIONS, with_option_names
from xinference_bridge.client.transport import container
from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.protocol import connection_errors

pytestmark = pytest.mark.fault_server


def test_headers_go_with_every_request_and_their_values_are_secrets(server):
    server.on("/v1/models", http(400, b'{"detail": "what is hush-hush?"}'))
    ran = run("models", "-e", server.url, "--header", "X-Team: search", "--header", "X-Token:hush-hush")
    headers = server.seen("/v1/models")[0].headers
    assert (headers["x-team"], headers["x-token"]) == ("search", "hush-hush")
    assert "what is **********?" in ran.err


def test_a_header_without_a_colon_is_a_usage_error_that_does_not_repeat_it(server):
    ran = run("models", "-e", server.url, "--header", "hush-hush")
    assert (ran.status, ran.err) == (2, "error: --header must be NAME:VALUE, such as --header 'X-Team: search'\n")


def test_the_proxy_gets_the_request(server):
    xinference(server)
    proxy = says(server, "http://gpu.invalid:9997/v1/models", {"data": []})
    ran = run("models", "-e", "http://gpu.invalid:9997", "--proxy", proxy.url)
    assert ran.status == 0, ran.err
    assert ran.err == "No model runs at http://gpu.invalid:9997.\n"


@needs_openssl
@pytest.mark.parametrize("option", ["--ca", "--insecure"])
def test_a_certificate_of_ones_own_is_trusted_or_not_checked(server, certificate, option):  # noqa: F811
    xinference(server, model("c"))
    given = ["--ca", str(certificate)] if option == "--ca" else ["--insecure"]
    ran = run("models", "-e", over_tls(server, certificate), *given)
    assert (ran.status, ran.err) == (0, "")
    assert "c" in ran.out


@needs_openssl
def test_an_unknown_certificate_names_the_options(server, certificate):  # noqa: F811
    ran = run("models", "-e", over_tls(server, certificate))
    assert ran.status == 1
    assert "as --ca" in ran.err
    assert "--insecure turns verification off" in ran.err


def test_options_that_contradict_each_other_are_a_usage_error(server, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    ran = run("models", "-e", server.url, "--insecure", "--ca", bundle)
    assert ran.status == 2
    assert "--insecure and --ca" in ran.err


def test_a_bundle_that_is_not_there_is_named(server, tmp_path):
    ran = run("models", "-e", server.url, "--ca", tmp_path / "none.pem")
    assert (ran.status, ran.err) == (2, f"error: --ca {tmp_path}/none.pem: no such file\n")


@pytest.mark.slow
def test_the_doctor_ends_within_its_timeout_for_each_step(server, monkeypatch):
    monkeypatch.setattr(doctor, "Reach", lambda: network_checks.Reach(says_auth=lambda _url: False))
    server.on("/v1/cluster/auth", (Do.STALL,))
    begun = time.monotonic()
    ran = run("doctor", "--json", "-e", server.url, "--timeout", "0.3")
    assert time.monotonic() - begun < 5  # without the option, the check alone takes 10 s
    assert ran.out, ran.err
    (step,) = [step for step in json.loads(ran.out)["steps"] if step["status"] == "failed"]
    assert step["name"] == "Xinference"
    assert "0.3 s" in step["detail"]


# Errors name the options

USAGE = [
    (["--timeout", "-3"], "--timeout: Input should be greater than 0"),
    (["--server-url", " "], "--server-url 'http://' has no host and port"),
    (["--server-url", "ftp://gpu"], "--server-url has the scheme 'ftp'"),
    (["--server-url", "http://a:b@gpu"], "pass them as --username and --password"),
    (["--api-key", " "], "--api-key (or the variable XINFERENCE_API_KEY): this key is empty"),
    (["--username", "ada"], "pass --password or set XINFERENCE_PASSWORD"),
]


@pytest.mark.parametrize(("options", "words"), USAGE)
def test_an_invalid_option_is_named_as_it_was_typed(options, words):
    ran = run("models", *options)
    assert ran.status == 2
    assert words in ran.err
    assert not _PYTHON.search(ran.err)


_PYTHON = re.compile(rf"\b({'|'.join(ConnectionSettings.model_fields)})=|server_url|api_key|XinferenceConnection")

FAILURES = [
    (401, {"detail": "Could not validate credentials"}),
    (403, {"detail": "no scope"}),
    (404, {"detail": "Not Found"}),
    (429, {"detail": "Too many failed attempts"}),
    (429, {"detail": "Rate limit"}),
    (500, {"detail": "it broke"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("status", "answer"), FAILURES)
def test_a_failure_names_options_and_no_arguments_of_python(server, status, answer):
    says(server, "/v1/models", answer, status=status)
    ran = run("models", "-e", server.url, "--timeout", "5")
    assert ran.status == 1
    assert not _PYTHON.search(ran.err), ran.err


@pytest.mark.parametrize(
    "error",
    [
        connection_errors.cannot_connect("http://gpu/v1", "refused", in_container=False),
        connection_errors.cannot_connect("http://localhost:1/v1", "refused", in_container=True),
        connection_errors.connect_timed_out("http://gpu:9997", 2.0, in_container=False),
        connection_errors.read_timed_out("http://gpu:9997", 2.0),
        connection_errors.tls_failed("https://gpu:9997", "wrong version number"),
        connection_errors.tls_failed("https://gpu:9997", "unknown CA"),
        connection_errors.not_http("http://gpu:9997", "SSH"),
    ],
)
def test_an_error_of_the_connection_names_options(error):
    assert not _PYTHON.search(with_option_names(error.message))


def test_every_setting_that_has_an_option_is_known_and_a_servers_password_is_left_alone():
    assert OPTIONS.keys() <= ConnectionSettings.model_fields.keys()
    said = "The password and the timeout of the headers"
    assert with_option_names(said) == said


@pytest.mark.slow
def test_a_refused_connection_names_the_options(monkeypatch):
    monkeypatch.setattr(container, "inside_container", lambda: False)
    ran = run("models", "-e", f"http://127.0.0.1:{unused_port()}")
    assert "--server-url (or XINFERENCE_ENDPOINT)" in ran.err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "XinferenceConnection cannot use proxy (or the variable XINFERENCE_PROXY)",
            "--proxy (or the variable XINFERENCE",
        ),
        (
            "Set api_key / XINFERENCE_API_KEY, or username and password / XINFERENCE_USERNAME",
            "or --username and --password / XINFERENCE_USERNAME",
        ),
    ],
)
def test_an_option_is_named_once_and_whole(said, shown):
    assert shown in with_option_names(said)
    assert "----" not in with_option_names(said)
