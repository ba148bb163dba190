"""A real broker that speaks TLS with SCRAM-SHA-512 and grants nothing but the table of docs/security.md."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from infra.kafka.broker import Cluster
from operators.kafka_results import TOPICS

__all__ = ["PASSWORDS", "granted", "secure_kafka"]

ROOT = Path(__file__).parents[1]
PASSWORDS = {
    name: f"{name}-knows-6f2c9" for name in ("administrator", "producer", "flow", "reader", "nobody")
}
_KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.CLUSTER,
}


def granted() -> list[ACL]:
    """What the table of docs/security.md grants."""
    text = (ROOT / "docs/security.md").read_text()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return [
        ACL(f"User:{row[0].strip('`')}", "*", ACLOperation[operation.strip().upper()], ACLPermissionType.ALLOW, resource)
        for row in rows
        if len(row) == 4
        for resource in _resources(row[1], row[2].strip("`"))
        for operation in row[3].split(",")
    ]  # fmt: skip


def _resources(kind: str, name: str) -> Iterator[ResourcePattern]:
    names = sorted(set(TOPICS.values())) if name == "every topic of results" else [name]
    for each in names:
        prefixed = ACLResourcePatternType.PREFIXED if each.endswith("*") else ACLResourcePatternType.LITERAL
        yield ResourcePattern(_KINDS[kind], each.rstrip("*"), prefixed)


@contextmanager
def secure_kafka(folder: Path) -> Iterator[str]:
    """Yield the address of the listener with TLS; `folder` has ca.pem, and other.pem of an authority that is not its."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    _write_store(authority.issue_cert("127.0.0.1"), folder / "server.pem")
    address = f"127.0.0.1:{_free_port()}"
    cluster = Cluster(folder / "kafka", port=0, more=_settings(address, folder / "server.pem"))
    try:
        _grant(cluster.start())
        yield address
    finally:
        cluster.stop()


def _write_store(certificate: trustme.LeafCert, path: Path) -> None:
    """Write key and chain as Kafka reads them: the key in PKCS 8."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(key.private_bytes(*form) + b"".join(b.bytes() for b in certificate.cert_chain_pems))
    path.chmod(0o600)


def _settings(address: str, store: Path) -> dict[str, str]:
    listener = f"CLIENTS://{address}"
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "listeners": listener,
        "advertised.listeners": listener,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": login,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # the broker to itself, and this test, which grants what follows
    }


def _grant(bootstrap: str) -> None:
    users = [
        UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password)
        for name, password in PASSWORDS.items()
    ]
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        assert not any(admin.alter_user_scram_credentials(users).values())
        assert not admin.create_acls(granted())["failed"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
