"""Tracebacks with local variables, as rich and many log collectors print them, do not show secrets."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback

import pytest

from tests.core.asks import ASKS, MODES, PATHS, async_ask, connection_to, recorded, sync_ask
from tests.support.fault_proxy import RESET, STALL, FaultServer, http, unused_port
from xinference_bridge import XinferenceError
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]
KEY, PASSWORD, GATEWAY, TOKEN = "xf-very-secret-key", "very-secret-password", "very-secret-header", "very-secret-token"
SHORT = CallOptions(timeout=0.2)
SECRETS = (KEY, PASSWORD, GATEWAY, TOKEN)


def error_of(mode: str, connection, what: str, options: CallOptions = DEFAULT_OPTIONS) -> XinferenceError:
    try:
        if mode == "sync":
            sync_ask(connection, what, options=options)
        else:
            asyncio.run(async_ask(connection, what, options=options))
    except XinferenceError as error:
        return error
    pytest.fail("it was answered")


def everything_shown(error: BaseException) -> str:
    """The whole chain of tracebacks with the `repr` of every local, and what pickles and prints of the error."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    pieces = ["".join(shown.format(chain=True)), repr(error), str(error), repr(vars(error))]
    link: BaseException | None = error
    while link is not None:
        pieces += [repr(link), repr(link.args), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(pieces)


def leaks(text: str) -> list[str]:
    # Of the test's own frames nothing is promised; they hold no secret but by the names of this module.
    return [secret for secret in SECRETS if secret in text]


FAULTS = {
    "401": recorded("no_credential"),
    "403": recorded("forbidden"),
    "500": recorded("broken_json"),
    "a page": http(200, b"<html>", kind="text/html"),
    "no HTTP": b"hello\r\n",
    "reset": (RESET,),
    "cut short": (http(200, b"{}", length=9), RESET),
    "timeout": (STALL,),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("what", ASKS)
def test_a_key_is_in_none(server: FaultServer, mode: str, what: str, fault, caplog):
    caplog.set_level(logging.DEBUG)
    server.on(PATHS[what], fault)
    error = error_of(mode, connection_to(server, api_key=KEY, headers={"X-Gate": GATEWAY}), what, SHORT)
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[-1].headers["x-gate"] == GATEWAY
    assert leaks(everything_shown(error)) == []
    assert leaks(caplog.text) == []
    assert leaks(repr(pickle.dumps(error))) == []


def test_a_key_is_in_none_when_nobody_answers(mode: str):
    connection = connection_to(f"http://127.0.0.1:{unused_port()}", api_key=KEY, headers={"X-Gate": GATEWAY})
    assert leaks(everything_shown(error_of(mode, connection, "chat"))) == []


def test_a_key_is_in_none_while_it_rests_after_a_refusal(server: FaultServer, mode: str):
    server.on(PATHS["chat"], recorded("no_credential"))
    error_of(mode, connection_to(server, api_key=KEY), "chat")
    assert leaks(everything_shown(error_of(mode, connection_to(server, api_key=KEY), "chat"))) == []
    assert len(server.seen(PATHS["chat"])) == 1


LOGINS = {
    "401": http(401, b'{"detail":"Incorrect username or password"}'),
    "422 that echoes": http(422, f'{{"detail":[{{"msg":"bad","input":"{PASSWORD}"}}]}}'.encode()),
    "500": http(500, b"Internal Server Error", kind="text/plain"),
    "no token": http(200, b"{}"),
    "reset": (RESET,),
    "no HTTP": b"hello\r\n",
}


@pytest.mark.parametrize("fault", LOGINS.values(), ids=LOGINS)
def test_a_password_is_in_none(server: FaultServer, mode: str, fault, caplog):
    caplog.set_level(logging.DEBUG)
    server.on("/token", fault)
    error = error_of(mode, connection_to(server, username="ada", password=PASSWORD), "chat")
    assert PASSWORD.encode() in server.seen("/token")[0].body
    assert leaks(everything_shown(error)) == []
    assert leaks(caplog.text) == []


def test_a_token_is_in_none(server: FaultServer, mode: str):
    server.on("/token", http(200, f'{{"access_token":"{TOKEN}","refresh_token":"{TOKEN}-2"}}'.encode()))
    server.on(PATHS["chat"], recorded("no_credential"))
    error = error_of(mode, connection_to(server, username="ada", password=PASSWORD), "chat")
    assert server.seen(PATHS["chat"])[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert leaks(everything_shown(error)) == []


def test_a_key_that_cannot_be_sent_is_not_repeated(server: FaultServer, mode: str):
    with pytest.raises(XinferenceError) as caught:
        connection_to(server, api_key=KEY + "\x00")
    assert KEY not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
