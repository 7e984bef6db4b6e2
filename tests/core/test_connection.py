"""A connection's arguments, equality, hidden secrets and copies. Sends no requests."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import sys
import threading

import pytest
from pydantic import SecretStr

from tests.support.fault_proxy import unused_port
from xinference_bridge import XinferenceConfigurationError, XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.integration.connection_argument import connection_from

KEY, PASSWORD, GATEWAY = "xf-very-secret-key", "very-secret-password", "very-secret-header"
PROXY = "http://user:very-secret-proxy@127.0.0.1:3128"


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("http://127.0.0.1:9997", "http://127.0.0.1:9997"),
        ("http://127.0.0.1:9997/", "http://127.0.0.1:9997"),
        ("  http://host:9997//  ", "http://host:9997"),
        ("http://host:9997/v1", "http://host:9997"),
        ("http://host:9997/v1/", "http://host:9997"),
        ("http://host:9997/v1/chat/completions", "http://host:9997"),
        ("http://host:9997/docs", "http://host:9997"),
        ("http://host:9997/ui/", "http://host:9997"),
        ("http://host:9997/ui/#/launch_model/llm", "http://host:9997"),
        ("host:9997", "http://host:9997"),
        ("localhost:9997", "http://localhost:9997"),
        ("0.0.0.0:9997", "http://127.0.0.1:9997"),
        ("http://[::]:9997", "http://[::1]:9997"),
        ("http://[fe80::1]:9997/v1", "http://[fe80::1]:9997"),
        ("HTTPS://Host.Example", "https://host.example"),
        ("https://host.example/xinference/v1", "https://host.example/xinference"),
        ("https://host.example/v1beta", "https://host.example/v1beta"),
    ],
)
def test_a_pasted_url_is_read_as_it_is_meant(pasted: str, meant: str):
    assert XinferenceConnection(pasted).server_url == meant


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "http://",
        "http://:9997",
        "http://host:99999",
        "http://host:0",
        "http://two words",
        "ftp://host",
        "unix:///run/x",
        "http:/127.0.0.1:9997",
        "http//127.0.0.1:9997",
        "https:host:9997",
        "http://a..b:1",
        f"http://{'a' * 64}:1",
        "'http://real:1'",
        "http://'real':1",
    ],
)
def test_an_invalid_url_is_refused_by_name(broken: str):
    with pytest.raises(XinferenceConfigurationError, match="server_url"):
        XinferenceConnection(broken)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(XinferenceConfigurationError, match="username= and password=") as caught:
        XinferenceConnection(f"http://ada:{PASSWORD}@host:9997")
    assert PASSWORD not in str(caught.value)


def test_building_one_makes_no_network_call():
    XinferenceConnection(f"http://127.0.0.1:{unused_port()}", api_key=KEY)  # the network is blocked in this test


def test_positional_and_named_urls_are_one_setting():
    assert XinferenceConnection("host:1") == XinferenceConnection(server_url="host:1")
    with pytest.raises(XinferenceConfigurationError, match="twice"):
        XinferenceConnection("host:1", server_url="host:2")


@pytest.mark.parametrize(
    ("misspelled", "right"),
    [("api_kye", "api_key"), ("max_retry", "max_retries"), ("time_out", "timeout"), ("base_url", "server_url")],
)
def test_a_misspelt_setting_is_refused_with_the_right_one(misspelled: str, right: str):
    with pytest.raises(XinferenceConfigurationError, match=f"no setting '{misspelled}'.*{right}"):
        XinferenceConnection(**{misspelled: 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("max_retries", -1),
        ("max_concurrency", 0),
        ("pool_size", 0),
        ("api_key", "**********"),
        ("api_key", "   "),
        ("api_key", "two\nlines"),
        ("api_key", "ключ"),
        ("headers", {"X-Gate": "a\r\nX-Evil: b"}),
        ("headers", {"X Gate": "a"}),
        ("headers", {"X-Gate": "schlüssel"}),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_without_repeating_it(name: str, value):
    with pytest.raises(XinferenceConfigurationError, match=name.rstrip("s")) as caught:
        XinferenceConnection(**{name: value})
    if isinstance(value, str) and value.strip("* "):
        assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        *((name, "a number") for name in ("timeout", "connect_timeout", "deadline")),
        *((name, "an integer") for name in ("max_retries", "max_concurrency", "pool_size", "max_response_bytes")),
    ],
)
@pytest.mark.parametrize("value", ["5", True, [5], b"5"])
def test_a_number_that_is_another_type_is_refused_by_name(name: str, takes: str, value):
    for build in (XinferenceConnection, full().derive):
        with pytest.raises(XinferenceConfigurationError, match=f"{name} must be {takes}, got {type(value).__name__}"):
            build(**{name: value})


def test_a_key_out_of_a_file_loses_its_newline():
    key = XinferenceConnection(api_key=f" {KEY}\n").api_key
    assert key is not None
    assert key.get_secret_value() == KEY


@pytest.mark.parametrize(("given", "missing"), [("username", "password"), ("password", "username")])
def test_half_a_login_says_which_half_is_missing(given: str, missing: str):
    with pytest.raises(XinferenceConfigurationError, match=f"{missing} is required.*XINFERENCE_{missing.upper()}"):
        XinferenceConnection(**{given: "x"})


# One value


def full(**changes):
    settings = {
        "server_url": "http://host:9997",
        "api_key": KEY,
        "username": "ada",
        "password": PASSWORD,
        "headers": {"X-Gate": GATEWAY},
        "proxy": PROXY,
        "cert": ["a.pem", "b.pem"],
        "timeout": 7,
    }
    return XinferenceConnection(**{**settings, **changes})


def test_equal_settings_are_one_connection_with_one_client():
    first, second = full(), full(headers=[("X-Gate", GATEWAY)], timeout=7.0)
    assert first == second
    assert hash(first) == hash(second)
    assert first.client is second.client
    assert len({first, second, full(timeout=8)}) == 2


def test_it_stays_equal_after_use_and_after_close():
    first, second = full(), full()
    with first:
        assert first.client is not None
    assert first == second
    assert hash(first) == hash(second)


def test_it_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        full().timeout = 3


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c)), lambda c: c.model_copy()]
)
def test_a_copy_is_equal_and_carries_the_credentials(copied):
    connection = full()
    assert connection.client is not None  # in use: sockets and locks are not copied
    twin = copied(connection)
    assert twin == connection
    assert twin.api_key.get_secret_value() == KEY
    assert twin.password.get_secret_value() == PASSWORD
    assert twin.client is connection.client


def test_a_derived_one_differs_by_what_was_said():
    derived = full().derive(timeout=1, max_retries=5)
    assert derived == full(timeout=1, max_retries=5)
    assert derived.client is not full().client
    with pytest.raises(XinferenceConfigurationError, match="did you mean 'timeout'"):
        full().derive(timeot=1)


def test_a_derived_credential_of_another_kind_takes_the_place_of_the_old():
    by_key = XinferenceConnection(api_key=KEY)
    by_login = by_key.derive(username="ada", password=PASSWORD)
    assert (by_login.api_key, by_login.username) == (None, "ada")
    assert by_login.derive(api_key=KEY) == by_key


def test_a_model_without_settings_of_its_own_shares_the_connection():
    connection = full()
    assert connection_from(connection, timeout=None, api_key=None) is connection
    assert connection_from(connection, timeout=1.0) == full(timeout=1)
    assert connection_from(None, server_url="host:1") == XinferenceConnection("host:1")


def test_a_service_with_a_key_for_each_user_keeps_a_bounded_number_of_clients():
    for number in range(clients.MOST_CLIENTS + 20):
        assert XinferenceConnection("http://host:1", api_key=f"xf-{number}").client is not None
    assert len(clients._clients) <= clients.MOST_CLIENTS


# Precedence: the bridges' tests check the settings of a call and of a model.


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A working directory with a `.env`, and a folder of Docker secrets."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("xinference_bridge.environment._SECRETS_DIR", secrets)
    return tmp_path


def test_explicit_before_environment_before_dotenv_before_docker_secret_before_default(workplace, monkeypatch):
    assert XinferenceConnection().server_url == "http://127.0.0.1:9997"
    (workplace / "secrets" / "xinference_endpoint").write_text("http://secret:1\n")
    assert XinferenceConnection().server_url == "http://secret:1"
    (workplace / ".env").write_text("XINFERENCE_ENDPOINT=http://dotenv:1\nXINFERENCE_HOME=/models\n")
    assert XinferenceConnection().server_url == "http://dotenv:1"
    monkeypatch.setenv("XINFERENCE_SERVER_URL", "http://second-name:1")
    assert XinferenceConnection().server_url == "http://second-name:1"
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://environment:1")
    assert XinferenceConnection().server_url == "http://environment:1"
    assert XinferenceConnection("http://explicit:1").server_url == "http://explicit:1"
    assert XinferenceConnection("http://explicit:1").derive(timeout=1).server_url == "http://explicit:1"


def test_a_docker_secret_is_read_as_the_key(workplace):
    (workplace / "secrets" / "xinference_api_key").write_text(KEY + "\n")
    assert XinferenceConnection().api_key == SecretStr(KEY)


def test_an_empty_variable_counts_as_not_said(monkeypatch):
    monkeypatch.setenv("XINFERENCE_API_KEY", "")
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "")
    assert XinferenceConnection() == XinferenceConnection("http://127.0.0.1:9997", api_key=None)
    monkeypatch.setenv("XINFERENCE_SERVER_URL", "http://second-name:1")
    assert XinferenceConnection().server_url == "http://second-name:1"


def test_an_empty_variable_leaves_the_setting_to_the_dotenv(workplace, monkeypatch):
    (workplace / ".env").write_text(
        f"XINFERENCE_ENDPOINT=\nXINFERENCE_SERVER_URL=http://dotenv:1\nXINFERENCE_API_KEY={KEY}\n"
    )
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "")
    monkeypatch.setenv("XINFERENCE_API_KEY", "")
    connection = XinferenceConnection()
    assert (connection.server_url, connection.api_key) == ("http://dotenv:1", SecretStr(KEY))


def test_an_unclosed_quote_in_a_dotenv_is_named_and_nothing_goes_to_the_default_server(workplace):
    (workplace / ".env").write_text(f'# mine\nXINFERENCE_ENDPOINT="http://real:1\nXINFERENCE_API_KEY={KEY}\n')
    with pytest.raises(XinferenceConfigurationError, match=r"\.env cannot be read: line 2 .*quote"):
        XinferenceConnection()
    (workplace / ".env").write_text('OTHER="unclosed\nXINFERENCE_ENDPOINT=http://real:1\n')
    assert XinferenceConnection().server_url == "http://real:1"


def test_a_credential_that_was_said_is_not_mixed_with_one_of_the_environment(monkeypatch):
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-of-the-environment")
    assert XinferenceConnection(username="ada", password=PASSWORD).api_key is None
    monkeypatch.delenv("XINFERENCE_API_KEY")
    monkeypatch.setenv("XINFERENCE_USERNAME", "bob")
    assert XinferenceConnection(api_key=KEY).username is None


def test_a_wrong_variable_is_named_in_the_error(monkeypatch):
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "ftp://host")
    with pytest.raises(XinferenceConfigurationError, match="XINFERENCE_ENDPOINT"):
        XinferenceConnection()


def test_the_usual_ca_bundle_variable_is_the_default_of_verify(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/company.pem")
    assert XinferenceConnection().verify == "/etc/ssl/company.pem"
    assert XinferenceConnection(verify=False).verify is False


def test_a_changed_environment_is_seen_by_the_next_connection(monkeypatch):
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-first")
    first = XinferenceConnection()
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-second")
    assert first != XinferenceConnection()


# Secrets

SECRETS = (KEY, PASSWORD, GATEWAY, "very-secret-proxy")


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        lambda c: repr(c.model_dump()),
        lambda c: repr(c.model_dump(mode="json")),
        lambda c: c.model_dump_json(),
        lambda c: json.dumps(c.model_json_schema()),
        lambda c: repr(c.client),
        lambda c: repr(vars(c.client)),
        lambda c: repr(vars(c.client._sync)) + repr(vars(c.client._async)) + repr(vars(c.client._authentication)),
        lambda c: repr(vars(c.client._authentication._gate)),
        lambda c: repr(gates._gates) + repr(clients._clients),
        lambda c: f"{c!r:.2000}{c}",
    ],
)
def test_no_secret_is_shown(shown):
    text = shown(full())
    assert not [secret for secret in SECRETS if secret in text]


def test_no_secret_is_logged(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with pytest.raises(XinferenceConfigurationError), full(timeout=-1):
        pass
    thread = threading.Thread(target=lambda: full().client)
    thread.start()
    thread.join()
    text = caplog.text + stderr.getvalue()
    assert not [secret for secret in SECRETS if secret in text]
