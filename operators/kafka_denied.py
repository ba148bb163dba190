"""Why no client gets through to a broker: nobody is there, its certificate is not trusted, or it does not take the password.

kafka-python says of all three that it timed out, and drops the broker's answer to a wrong password, since the connection
ends with it. So when a client has failed, its first steps are gone through once more by hand. Passwords are in no message.
"""

import socket
import ssl
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from kafka.net.sasl import get_sasl_mechanism

from kernels.errors import ConfigError

__all__ = ["denied", "tls_context"]

_ANSWER_S = 5.0
_HANDSHAKE, _AUTHENTICATE = 17, 36  # Kafka's numbers of the requests
_FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
_MOST_BYTES = 1 << 16


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Return what a client of these options trusts and shows; None: it speaks without TLS.

    Raises
    ------
    ConfigError
        A file is not there, or is not what it should be.
    """
    if not str(options.get("security_protocol", "")).endswith("SSL"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = options.get("ssl_check_hostname", True)
    authority, certificate, key = (options.get(name) for name in _FILES)
    try:
        if authority is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(authority)
        if certificate is not None:
            context.load_cert_chain(
                certificate, key, options.get("ssl_password", "")
            )  # None would ask the terminal
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        said = ", ".join(f"kafka.{name} = {options[name]!r}" for name in _FILES if name in options)
        hint = "Each is a file in PEM; a key that is encrypted needs kafka.ssl_password"
        raise ConfigError(f"{said}: {getattr(error, 'strerror', None) or error}", hint) from None
    return context


def denied(options: Mapping[str, Any], servers: Iterable[str]) -> ConfigError | None:
    """Return why the first of these brokers that is there turns a client down; None: it does not, or none is there."""
    for address in servers:
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S) as link:
                return _turned_down(options, link, address, host.strip("[]"))
        except (OSError, ValueError, struct.error):  # not there, or it falls silent
            continue
    return None


def _turned_down(
    options: Mapping[str, Any], link: socket.socket, address: str, host: str
) -> ConfigError | None:
    context = tls_context(options)
    try:
        link = context.wrap_socket(link, server_hostname=host) if context is not None else link
        if str(options.get("security_protocol", "")).startswith("SASL"):
            _authenticate(options, link, host)
    except ssl.SSLCertVerificationError as error:
        said = f"the certificate of the Kafka broker at {address} is not trusted: {error.verify_message}"
        hint = "kafka.ssl_cafile must be of the authority that signed it, and kafka.bootstrap name a host that it names"
        return ConfigError(said, hint)
    except ssl.SSLError as error:
        said = f"the Kafka broker at {address} does not speak TLS with this client: {error.reason or error}"
        hint = (
            "kafka.bootstrap must name a listener with TLS; if it asks for a certificate: kafka.ssl_certfile"
        )
        return ConfigError(said, hint)
    except PermissionError as error:
        said = f"the Kafka broker at {address} does not let {options['sasl_plain_username']!r} in: {error}"
        hint = "Check kafka.sasl_plain_username, AURA_KAFKA__SASL_PLAIN_PASSWORD and kafka.sasl_mechanism"
        return ConfigError(said, hint)
    finally:
        link.close()
    return None


def _authenticate(options: Mapping[str, Any], link: socket.socket, host: str) -> None:
    """Go through the exchange of a mechanism; PermissionError with the broker's words if it fails."""
    name = options["sasl_mechanism"]
    answer = _ask(link, _HANDSHAKE, _text(name))
    if struct.unpack_from(">h", answer)[0]:
        raise PermissionError(f"it does not know {name}")
    mechanism = get_sasl_mechanism(name)(host=host, **options)
    while not mechanism.is_done():
        token = mechanism.auth_bytes()
        answer = _ask(link, _AUTHENTICATE, struct.pack(">i", len(token)) + token)
        code, size = struct.unpack_from(">hh", answer)
        at = 4 + max(size, 0)
        if code:
            raise PermissionError(answer[4:at].decode(errors="replace"))
        mechanism.receive(answer[at + 4 : at + 4 + struct.unpack_from(">i", answer, at)[0]])


def _ask(link: socket.socket, request: int, body: bytes) -> bytes:
    """Return the body of the answer to a request, each in its version 1, as Kafka's protocol has them."""
    message = struct.pack(">hhi", request, 1, 0) + _text("aura") + body
    link.sendall(struct.pack(">i", len(message)) + message)
    with link.makefile("rb") as stream:
        head = stream.read(8)
        if len(head) < 8:
            raise ConnectionResetError
        return stream.read(min(struct.unpack(">i", head[:4])[0] - 4, _MOST_BYTES))


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value.encode())) + value.encode()
