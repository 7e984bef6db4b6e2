"""The keywords of a constructor, sorted: its fields, what is the server's own, and what is misspelt. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.parameter_types import is_dropped, opened
from xinference_bridge.integration.parameters import OPEN, check_values
from xinference_bridge.suggestions import did_you_mean, is_near

#: What other packages call the address and the key.
_MEANT = {
    **dict.fromkeys(
        ("url", "endpoint", "host", "api_base", "openai_api_base", "openai_base_url", "xinference_endpoint", "server"),
        "server_url",
    ),
    **dict.fromkeys(("openai_api_key", "xinference_api_key", "key", "token"), "api_key"),
}


@dataclass(frozen=True, slots=True)
class Keywords:
    """What a constructor takes, in the words of its errors."""

    owner: str
    """The class, as its caller calls it."""
    fields: Collection[str]
    aliases: Mapping[str, str]
    """Other words for a field: `{"model": "model_uid"}`."""
    to_server: Collection[str] = frozenset()
    """Parameters of the server that have no field: taken by name, and sent on."""
    unknown_is_sent: bool = False
    """Whether an unknown keyword is sent on with a warning, as the older packages' constructors want it."""

    def sorted_out(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values by field, with what goes to the server alone in `model_kwargs`; a value of None is not stated.

        Raises XinferenceConfigurationError for a misspelt keyword, with the nearest known one, for two values for one
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
                self._refuse_misspelt(keyword)
                extra[keyword] = value
        extra = {name: value for name, value in extra.items() if not is_dropped(name, value, self.owner)}
        if extra:
            stated["model_kwargs"] = extra
        check_values(stated, self.owner)
        return stated

    def _set(self, stated: dict[str, Any], name: str, keyword: str, value: Any) -> None:
        if value is None:
            return
        if name in stated and stated[name] != value:
            msg = f"{self.owner} got two values for {name}: {stated[name]!r} and, as {keyword}=, {value!r}"
            raise XinferenceConfigurationError(msg)
        stated[name] = value

    def _refuse_misspelt(self, keyword: str) -> None:
        if meant := _MEANT.get(keyword):
            # Sent on as a parameter, it would leave the default server to get the user's key.
            msg = f"{self.owner} has no parameter {keyword!r}; it is called {meant} here: {meant}=…"
            raise XinferenceConfigurationError(msg)
        known = [*self.fields, *self.aliases, *self.to_server]
        if not self.unknown_is_sent or is_near(keyword, known):
            msg = (
                f"{self.owner} has no parameter {keyword!r}{did_you_mean(keyword, known)} What is meant for the server "
                "alone goes into model_kwargs= or extra_body=."
            )
            raise XinferenceConfigurationError(msg)
        warnings.warn(
            f"{self.owner} does not know {keyword!r}; it is sent to the server as it is. model_kwargs="
            f"{{{keyword!r}: …}} says the same without a warning.",
            stacklevel=6,
        )


def require_model(owner: str, stated: Mapping[str, Any], *, first: str) -> None:
    """Raise XinferenceConfigurationError when no model is named, or a URL stands in the place of its UID.

    `first` is the field that the constructor's first argument fills, for those who took it for the other one.
    """
    uid, url = stated.get("model_uid"), stated.get("server_url")
    if not uid:
        msg = f"{owner} needs model_uid= (or model=): the UID that `xinference list` prints."
        if first == "server_url" and isinstance(url, str) and not _LIKE_A_URL.search(url):
            msg = (
                f"{owner}({url!r}): the first argument is the server's URL. Give the model by name: "
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
