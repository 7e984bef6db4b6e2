"""Sort a constructor's keywords: fields, server parameters, misspelled names. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.parameter_types import is_dropped, opened
from xinference_bridge.integration.parameters import OPEN, check_values
from xinference_bridge.suggestions import did_you_mean, is_near

#: Other packages' names for the address and the key.
_MEANT = {
    **dict.fromkeys(
        ("url", "endpoint", "host", "api_base", "openai_api_base", "openai_base_url", "xinference_endpoint", "server"),
        "server_url",
    ),
    **dict.fromkeys(("openai_api_key", "xinference_api_key", "key", "token", "access_token"), "api_key"),
    "request_timeout": "timeout",
}

#: Other names for settings of the connection. Sent to the server, they would have no effect and reveal a password.
_OF_CONNECTION = {
    **{name: name for name in ConnectionSettings.model_fields},
    **dict.fromkeys(("ca_bundle", "ca_cert", "ssl_verify", "verify_ssl"), "verify"),
    **dict.fromkeys(("auth", "user_name"), "username"),
    **dict.fromkeys(("http_proxy", "https_proxy", "proxies", "openai_proxy"), "proxy"),
}


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keywords of a constructor, for its error messages."""

    owner: str
    """The name of the class."""
    fields: Collection[str]
    aliases: Mapping[str, str]
    """Aliases of fields: `{"model": "model_uid"}`."""
    to_server: Collection[str] = frozenset()
    """Server parameters without a field: accepted by name and sent."""
    unknown_is_sent: bool = False
    """Whether to send an unknown keyword with a warning, for compatibility with the older packages."""

    def sorted_out(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values by field, with server parameters in `model_kwargs`. A value of None counts as not given.

        Raises XinferenceConfigurationError for a misspelled keyword, with the nearest known one, for two values for one
        field, and for a value of the wrong type.
        """
        stated: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for keyword, value in given.items():
            name = self.aliases.get(keyword, keyword)
            if name in self.fields and name not in OPEN:
                self._set(stated, name, keyword, value)
            elif name in OPEN:
                extra.update(opened(keyword, value, self.owner))
            elif name in self.to_server:
                extra[name] = value
            else:
                self._refuse_misspelled(keyword)
                extra[keyword] = value
        extra = {name: value for name, value in extra.items() if not is_dropped(name, value, self.owner)}
        if extra:
            stated["model_kwargs"] = extra
        check_values(stated, self.owner, self.fields)
        return stated

    def _set(self, stated: dict[str, Any], name: str, keyword: str, value: Any) -> None:
        if value is None:
            return
        if name in stated and stated[name] != value:
            msg = f"{self.owner} got two values for {name}: {stated[name]!r} and, as {keyword}=, {value!r}"
            raise XinferenceConfigurationError(msg)
        stated[name] = value

    def _refuse_misspelled(self, keyword: str) -> None:
        if meant := _MEANT.get(keyword):
            # Passed through as a parameter, it would let the user's key go to the default server.
            msg = f"{self.owner} has no parameter {keyword!r}; use {meant}="
            raise XinferenceConfigurationError(msg)
        if setting := _OF_CONNECTION.get(keyword):
            msg = (
                f"{self.owner} has no parameter {keyword!r}; it is a setting of the connection. Pass "
                f"connection=XinferenceConnection(server_url, {setting}=…)."
            )
            raise XinferenceConfigurationError(msg)
        known = [*self.fields, *self.aliases, *self.to_server]
        if not self.unknown_is_sent or is_near(keyword, known):
            msg = (
                f"{self.owner} has no parameter {keyword!r}{did_you_mean(keyword, known)} To send an unknown parameter "
                "unchanged, use model_kwargs= or extra_body=."
            )
            raise XinferenceConfigurationError(msg)
        warnings.warn(
            f"{self.owner} does not know {keyword!r} and sends it to the server unchanged. To avoid this warning, use "
            f"model_kwargs={{{keyword!r}: …}}.",
            stacklevel=6,
        )


def require_model(owner: str, stated: Mapping[str, Any], *, first: str) -> None:
    """Raise XinferenceConfigurationError if no model is named, or a URL was given as the UID.

    `first` is the field of the constructor's first positional argument.
    """
    uid, url = stated.get("model_uid"), stated.get("server_url")
    if not uid:
        msg = f"{owner} requires model_uid= (or model=): the UID that `xinference list` prints."
        if first == "server_url" and isinstance(url, str) and not _LIKE_A_URL.search(url):
            msg = (
                f"{owner}({url!r}): the first argument is the server's URL. Pass the model by name: "
                f"{owner}(model_uid={url!r})."
            )
        raise XinferenceConfigurationError(msg)
    if isinstance(uid, str) and "://" in uid:
        order = "server_url, model_uid" if first == "server_url" else "model_uid, server_url"
        msg = (
            f"{owner}: model_uid={uid!r} is a URL, not a UID. The first two arguments are {order}; name them: "
            f"{owner}(model_uid=…, server_url={uid!r})."
        )
        raise XinferenceConfigurationError(msg)


_LIKE_A_URL = re.compile(r"://|:\d+|^localhost$|^\d+\.\d+\.\d+\.\d+$")
