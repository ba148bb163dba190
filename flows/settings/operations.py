"""How others see the running program: its HTTP server."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, SecretStr

from flows.settings.types import Section

__all__ = ["Http"]


class Http(Section):
    """The server of metrics and health; none without a port, any free one for 0, a token for callers from elsewhere."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    host: str = "127.0.0.1"
    token: SecretStr | None = None

    @property
    def local(self) -> bool:
        """Whether only this host can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False
