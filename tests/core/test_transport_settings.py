"""Certificates, proxies and headers mean the same to sync and async callers."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest

from tests.core.asks import MODES, PATHS, ask, check_good, connection_to
from tests.support.fault_proxy import FaultServer, unused_port
from xinference_bridge import XinferenceConfigurationError, XinferenceConnectionError

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")


def test_headers_are_sent_and_win_by_any_spelling(server: FaultServer, mode: str):
    headers = {"X-Gate": "open", "authorization": "Basic gateway", "user-agent": "mine"}
    ask(mode, connection_to(server, api_key="xf-key", headers=headers), "embeddings")
    seen = server.requests[0].headers
    assert (seen["x-gate"], seen["authorization"], seen["user-agent"]) == ("open", "Basic gateway", "mine")


def test_no_cookie_is_sent_back_and_no_compression_asked_for(server: FaultServer, mode: str):
    ask(mode, connection_to(server), "embeddings")
    assert "cookie" not in server.requests[0].headers
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_netrc_does_not_replace_the_credential(server: FaultServer, mode: str, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password netrc-password\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ask(mode, connection_to(server, api_key="xf-key"), "embeddings")
    assert server.requests[0].headers["authorization"] == "Bearer xf-key"


def through_proxy(server: FaultServer) -> None:
    """The server acts as a proxy: it gets requests for whole URLs."""
    server.on("http://far.example:9997" + PATHS["embeddings"], server._scripts[PATHS["embeddings"]][0])


def test_a_given_proxy_is_asked_for_the_whole_url(server: FaultServer, mode: str):
    through_proxy(server)
    proxy = server.url.replace("http://", "http://ada:secret@")
    check_good("embeddings", ask(mode, connection_to("http://far.example:9997", proxy=proxy), "embeddings"))
    assert server.requests[0].headers["proxy-authorization"] == "Basic YWRhOnNlY3JldA=="


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_usual_variables_name_the_proxy(server: FaultServer, mode: str, monkeypatch, name: str):
    through_proxy(server)
    monkeypatch.setenv(name, server.url)
    check_good("embeddings", ask(mode, connection_to("http://far.example:9997"), "embeddings"))


def test_no_proxy_is_heeded(server: FaultServer, mode: str, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    check_good("embeddings", ask(mode, connection_to(server), "embeddings"))


def test_a_dead_proxy_is_named_without_its_password(mode: str):
    proxy = f"http://ada:secret@127.0.0.1:{unused_port()}"
    with pytest.raises(XinferenceConnectionError, match="proxy") as caught:
        ask(mode, connection_to("http://far.example:9997", proxy=proxy), "embeddings")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"verify": "/nowhere/ca.pem"}, {"cert": "/nowhere/client.pem"}], ids=str)
def test_a_file_that_is_not_there_is_a_matter_of_configuration(mode: str, settings: dict[str, str]):
    with pytest.raises(XinferenceConfigurationError, match=r"verify= or cert="):
        ask(mode, connection_to(f"https://127.0.0.1:{unused_port()}", **settings), "embeddings")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that has signed itself, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return both


def over_tls(server: FaultServer, certificate, *, asks_the_client: bool = False) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if asks_the_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
    server.tls = context
    return server.url.replace("http://", "https://")


@needs_openssl
@pytest.mark.parametrize("verify", ["the bundle", False])
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # urllib3 warns everyone who sets verify=False
def test_a_certificate_is_trusted_by_its_bundle_or_not_checked_at_all(server, mode, certificate, verify):
    url = over_tls(server, certificate)
    connection = connection_to(url, verify=str(certificate) if verify else False)
    check_good("embeddings", ask(mode, connection, "embeddings"))


@needs_openssl
def test_a_certificate_is_trusted_by_a_folder_of_them(server, mode, certificate, tmp_path):
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)],
        check=True,
        capture_output=True,
        text=True,
    )
    # OpenSSL looks a certificate up by the hash of its subject, as `openssl rehash` names it.
    (tmp_path / f"{shown.stdout.strip()}.0").write_bytes(certificate.read_bytes())
    connection = connection_to(over_tls(server, certificate), verify=str(tmp_path))
    check_good("embeddings", ask(mode, connection, "embeddings"))


@needs_openssl
def test_a_folder_without_the_certificate_trusts_nothing(server, mode, certificate, tmp_path):
    with pytest.raises(XinferenceConnectionError, match="certificate as verify="):
        ask(mode, connection_to(over_tls(server, certificate), verify=str(tmp_path), max_retries=0), "embeddings")


@needs_openssl
def test_an_unknown_certificate_is_refused_and_what_mends_it_is_said(server: FaultServer, mode: str, certificate):
    with pytest.raises(XinferenceConnectionError, match="certificate as verify=") as caught:
        ask(mode, connection_to(over_tls(server, certificate), max_retries=3), "embeddings")
    assert not caught.value.retryable


@needs_openssl
def test_a_client_certificate_is_shown_to_a_server_that_asks_for_one(server: FaultServer, mode: str, certificate):
    url = over_tls(server, certificate, asks_the_client=True)
    connection = connection_to(url, verify=str(certificate), cert=str(certificate))
    check_good("embeddings", ask(mode, connection, "embeddings"))


@needs_openssl
def test_http_to_a_port_that_speaks_tls_is_told(server: FaultServer, mode: str, certificate):
    over_tls(server, certificate)
    with pytest.raises(Exception, match=r"https://|closed the connection"):
        ask(mode, connection_to(server.url), "embeddings")


def test_https_to_a_port_that_does_not_is_told(server: FaultServer, mode: str):
    with pytest.raises(XinferenceConnectionError) as caught:
        ask(mode, connection_to(server.url.replace("http://", "https://")), "embeddings")
    first = caught.value.message.split(". ")[0]
    assert first.endswith(f"does not speak TLS: use http:// in server_url ({server.url}).")
