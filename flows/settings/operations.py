"""How others see the running program: its HTTP server, its log, its traces."""

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from flows.settings.types import Section

__all__ = ["Http", "Log", "Tracing"]


class Http(Section):
    """The server of metrics and health; none without a port, any free one for 0, a token for callers from elsewhere."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    host: str = "127.0.0.1"
    token: SecretStr | None = None

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
