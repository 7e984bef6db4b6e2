"""Who asks: the gate of this connection's credential, entered before each request and told of each answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xinference_bridge import failures
from xinference_bridge.call import Call
from xinference_bridge.credentials import Permit, gate_for
from xinference_bridge.errors import XinferenceAuthenticationError
from xinference_bridge.sync_transport import SyncTransport
from xinference_bridge.wire import CallOptions, Request, Response

if TYPE_CHECKING:
    from pydantic import SecretStr

    from xinference_bridge.connection import XinferenceConnection

#: Logging in, renewing a token and probing a key are short; a caller's own patience is bounded apart from this.
_SHORT = CallOptions(timeout=30.0, max_retries=0)


class Authorisation:
    """The credential of one connection; connections to one server with one credential share its gate."""

    def __init__(self, connection: XinferenceConnection) -> None:
        self._connection = connection
        self._gate = gate_for(
            connection.server_url,
            _plain(connection.api_key),
            connection.username,
            _plain(connection.password),
            post=self._post,
            get=self._get,
        )
        self._open = gate_for(connection.server_url, None, None, None, post=self._post)

    def enter(self, call: Call) -> Permit:
        """Leave to send, as soon as the credential may be sent; raises what its last refusal was while it rests."""
        gate = self._open if call.request.anonymous else self._gate
        return gate.wait(call.read_timeout())

    def enter_at_once(self, call: Call) -> Permit | None:
        """Same as `enter` where nothing is to be waited for, as nearly always; else None."""
        turn = (self._open if call.request.anonymous else self._gate).enter()
        return turn if isinstance(turn, Permit) else None

    async def aenter(self, call: Call) -> Permit:
        """Same as `enter`, but awaited."""
        gate = self._open if call.request.anonymous else self._gate
        return await gate.await_permit(call.read_timeout())

    def wants_another_try(self, call: Call, permit: Permit, response: Response) -> bool:
        """Tell the gate of the answer; True when a renewed token should be tried, once.

        Raises XinferenceAuthenticationError for a 401 that no other credential can mend.
        """
        if response.status != 401:
            permit.answered(response.status)
            return False
        said = failures.what_the_server_said(response.body)
        error = XinferenceAuthenticationError(
            permit.refused_message(),
            url=call.url,
            model_uid=call.request.model_uid,
            status_code=401,
            request_id=response.request_id,
            body=said,
        )
        if permit.rejected(error) and not call.renewed:
            call.renewed = True
            return True
        raise error

    def _get(self, path: str, authorization: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        return self._ask(Request("GET", path), authorization)

    def _post(self, path: str, json: dict[str, str], authorization: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        return self._ask(Request("POST", path, json), authorization)

    def _ask(self, request: Request, authorization: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        # A socket of its own: the gate outlives this connection, whose pool may be closed by then.
        transport = SyncTransport(self._connection)
        try:
            response = transport.send(Call(self._connection, request, _SHORT), authorization)
        finally:
            transport.close()
        return response.status, response.body, response.headers


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
