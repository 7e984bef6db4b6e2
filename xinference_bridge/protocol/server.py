"""Requests for the server's authentication and version. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from xinference_bridge.protocol.http import Request, Response

AUTH_NEEDED = Request("GET", "/v1/cluster/auth", anonymous=True)
CLUSTER_VERSION = Request("GET", "/v1/cluster/version")


def auth_needed_from_response(response: Response) -> bool:
    """Whether the server wants a credential."""
    data = response.json()
    return bool(data.get("auth")) if isinstance(data, Mapping) else False


def version_from_response(response: Response) -> str | None:
    """The server's version, as far as it names one."""
    data = response.json()
    version = data.get("version") if isinstance(data, Mapping) else data
    return str(version) if version else None
