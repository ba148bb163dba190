"""How others see the running program: its HTTP server, its log, its traces; and when it does less."""

from ipaddress import ip_address
from math import inf
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr

from flows.settings.types import SECOND_US, PositiveDuration, Section

__all__ = ["Degradation", "Http", "Log", "Tracing"]


class Http(Section):
    """The server of metrics and health; none without a port, any free one for 0, a token for callers from elsewhere."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    host: str = "127.0.0.1"
    token: Annotated[SecretStr, Field(min_length=8)] | None = None  # an empty one would let everybody in

    @property
    def plain_token(self) -> str | None:
        """The token in clear."""
        return self.token.get_secret_value() if self.token is not None else None

    @property
    def local(self) -> bool:
        """Whether only this host can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class Log(Section):
    """Lines about the program's life on standard error: none, as JSON, or for people."""

    form: Literal["off", "json", "text"] = "off"


class Tracing(Section):
    """Where spans go by OTLP over HTTP (none without an endpoint), and the share of records that a producer traces."""

    endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    sample: Annotated[float, Field(gt=0, le=1)] = 0.01


_Threshold = Annotated[
    float | None,
    BeforeValidator(lambda value: None if value == "off" else value),
    PlainSerializer(lambda value: "off" if value is None else value, when_used="json"),
]
_Thresholds = tuple[_Threshold, _Threshold, _Threshold, _Threshold]


class Degradation(Section):
    """When less is done than could be: thresholds of each signal for minor, major, critical, emergency; `off`: never.

    `latency_s` is from when a window was passed to its results, `lag_s` the clock minus the watermark (for events of now
    alone), `memory` the share of the limit that is used, `errors` dead letters and failures by event, `failed` the number
    of components that have failed.
    """

    enabled: bool = False
    stay: PositiveDuration = 30 * SECOND_US
    every: PositiveDuration = SECOND_US
    latency_s: _Thresholds = (1.0, 5.0, 30.0, None)
    lag_s: _Thresholds = (None, None, None, None)
    memory: _Thresholds = (0.8, 0.9, 0.95, 0.98)
    errors: _Thresholds = (0.01, 0.05, 0.2, None)
    failed: _Thresholds = (0.5, None, 1.5, None)

    @property
    def thresholds(self) -> dict[str, tuple[float, float, float, float]]:
        """By signal; infinity for never."""
        found = {}
        for name in ("latency_s", "lag_s", "memory", "errors", "failed"):
            minor, major, critical, emergency = (
                inf if each is None else each for each in getattr(self, name)
            )
            found[name] = minor, major, critical, emergency
        return found
