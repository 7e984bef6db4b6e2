"""The credential of one connection: its gate, and the handling of a 401."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from xinference_bridge.client.auth.gate import CredentialGate, Permit
from xinference_bridge.client.auth.registry import gate_for
from xinference_bridge.client.transport.call import Budget, Call
from xinference_bridge.client.transport.requests_transport import RequestsTransport
from xinference_bridge.connection_settings import CallOptions, ConnectionSettings
from xinference_bridge.errors import XinferenceAuthenticationError
from xinference_bridge.protocol.error_responses import what_the_server_said
from xinference_bridge.protocol.http import Request, Response

#: The timeouts for logins, renewals and probes, which are short. A caller's own wait is limited separately.
_SHORT = CallOptions(timeout=30.0, max_retries=0)


class Authentication:
    """The credential of one connection. Connections with the same server and credential share its gate."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._gate = gate_for(
            settings.server_url,
            _plain(settings.api_key),
            settings.username,
            _plain(settings.password),
            post=self._post,
            get=self._get,
        )
        self._open = gate_for(settings.server_url, None, None, None, post=self._post)

    def gate(self, call: Call) -> CredentialGate:
        """Return the gate for this call: an open one if it is sent without a credential."""
        return self._open if call.request.anonymous else self._gate

    def refuse(self, call: Call, permit: Permit, response: Response) -> None:
        """Report a 401 to the gate. Return if the call should be sent again with a renewed token.

        Raises:
            XinferenceAuthenticationError: No other credential is available.
        """
        error = XinferenceAuthenticationError(
            permit.refused_message(),
            url=call.url,
            model_uid=call.request.model_uid,
            status_code=401,
            request_id=response.request_id,
            body=what_the_server_said(response.body),
        )
        if permit.rejected(error) and not call.renewed:
            call.renewed = True
            return
        raise error

    def _get(self, path: str, authorization: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        return self._ask(Request("GET", path), authorization)

    def _post(self, path: str, json: dict[str, str], authorization: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        return self._ask(Request("POST", path, json), authorization)

    def _ask(self, request: Request, authorization: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        # Its own socket, because the gate outlives this connection, whose pool may be closed by then.
        transport = RequestsTransport(self._settings)
        try:
            response = transport.send(Call(self._settings, request, Budget.of(self._settings, _SHORT)), authorization)
        finally:
            transport.close()
        return response.status, response.body, response.headers


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
