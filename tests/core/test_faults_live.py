"""A real server's responses, truncated by a proxy. Only with `--live`; other tests truncate recorded responses."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.asks import ASKS, MODES, Streamed, async_ask, connection_to, sync_ask
from tests.support.fault_proxy import CLOSE, RESET, STALL, cutting_proxy
from tests.support.lab import Lab
from xinference_bridge import XinferenceConnectionError, XinferenceError, XinferenceStreamError, XinferenceTimeoutError
from xinference_bridge.connection_settings import CallOptions

pytestmark = [pytest.mark.live_only, pytest.mark.fault_server]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ASKS)
@pytest.mark.parametrize(
    "cut", [(1, RESET), (20, CLOSE), (60, RESET), (250, CLOSE), (300, RESET), (250, STALL)], ids=str
)
def test_a_real_answer_that_is_cut_is_an_error_and_no_part_of_it_an_answer(lab: Lab, mode: str, what: str, cut):
    after, how = cut
    with cutting_proxy(lab.address, after, how) as url:
        connection = connection_to(url, api_key=lab.api_key)
        got = Streamed()
        options = CallOptions(timeout=1.0 if how is STALL else 120.0)
        error = error_of(mode, connection, what, got, options)
        connection.close()
    # If the stall hit the request for the model's description, which comes first, the proxy's timeout ended it.
    stalled = (XinferenceTimeoutError,) if how is STALL else ()
    assert isinstance(error, (XinferenceStreamError, XinferenceConnectionError, *stalled))
    if isinstance(error, XinferenceStreamError):
        assert error.partial_text == got.text


def error_of(mode: str, connection, what: str, got: Streamed, options: CallOptions) -> XinferenceError | None:
    try:
        if mode == "sync":
            sync_ask(connection, what, got, options)
        else:
            asyncio.run(async_ask(connection, what, got, options))
    except XinferenceError as error:
        return error
    return None
