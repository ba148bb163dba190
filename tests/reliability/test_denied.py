"""Reliability 34: wrong authority, wrong password, missing grants are denied in one message, and no secret is said anywhere."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import ROOT, json_of
from command import aura as call
from secure_kafka import PASSWORDS, secure_kafka

from flows.settings import load
from operators.kafka_results import TOPICS
from operators.kafka_tables import read_results

TOKEN = "token-that-nobody-sees-81d3"
SECRETS = (*PASSWORDS.values(), TOKEN, "guessed-wrong-55a1")
READ = ("run", "--source", "kafka", "--sink", "kafka", "--until-end", "--json", "--set", "log.form=json")

Aura = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the broker, its certificates and all that commands write are."""
    with tempfile.TemporaryDirectory(prefix="aura-secure-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def broker(java: None, folder: Path) -> Iterator[str]:
    """A broker with TLS, SCRAM-SHA-512 and the grants of docs/security.md."""
    with secure_kafka(folder) as address:
        yield address


def variables(broker: str, folder: Path, user: str) -> dict[str, str]:
    """What a user sets to get in."""
    return {
        "AURA_KAFKA__BOOTSTRAP": broker,
        "AURA_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "AURA_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
        "AURA_KAFKA__SASL_PLAIN_USERNAME": user,
        "AURA_KAFKA__SASL_PLAIN_PASSWORD": PASSWORDS[user],
        "AURA_KAFKA__SSL_CAFILE": str(folder / "ca.pem"),
        "AURA_HTTP__TOKEN": TOKEN,
    }


@pytest.fixture
def aura(broker: str, folder: Path, tmp_path: Path) -> Iterator[Aura]:
    """A function that runs `aura` as a user; what is said and written then holds no secret."""
    said: list[str] = []

    def run(user: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = call(*arguments, check=False, cwd=tmp_path, **variables(broker, folder, user) | env)
        said.append(done.stdout + done.stderr)
        return done

    yield run
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert said
    for secret in SECRETS:
        assert not any(secret in text for text in said)
        assert not any(secret.encode() in content for content in written)


def denied(done: subprocess.CompletedProcess[str]) -> str:
    """The one message, of a line and a hint, that a command ended with."""
    assert done.returncode in {1, 2}, done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("aura: ")
    return "\n".join(lines)


@pytest.mark.timeout(300)
def test_each_user_can_do_its_part_and_no_more_is_granted(aura: Aura, broker: str, folder: Path) -> None:
    """Topics made, flights sent, windows computed, results read: by four users, each with the least that it needs."""
    expected = json_of("run", "--json", "--out", str(folder / "plain"))
    assert aura("administrator", "topics", "apply").returncode == 0
    assert aura("administrator", "topics", "apply", "--json").stdout.strip().endswith("[]")
    produced = aura("producer", "produce", "--json")
    assert produced.returncode == 0, produced.stderr
    ran = aura("flow", *READ, "--set", "recovery.directory=store", "--set", "http.port=0")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["digest"] == expected["digest"]
    examined = aura("flow", "doctor", "--source", "kafka", "--sink", "kafka", "--json")
    assert json.loads(examined.stdout)["mode"] != "emergency", examined.stdout
    reader = load("flights", env=variables(broker, folder, "reader")).settings.kafka
    assert read_results(reader.client_options(), prefix="")["cells"].num_rows == expected["cells"]
    shown = aura("flow", "config", "show")
    assert "sasl_plain_username" in shown.stdout


@pytest.mark.timeout(300)
def test_wrong_authority(aura: Aura, folder: Path) -> None:
    """A broker that another authority vouches for is not spoken to."""
    other = str(folder / "other.pem")
    done = aura("flow", *READ, AURA_KAFKA__SSL_CAFILE=other)
    assert "is not trusted: unable to get local issuer certificate" in denied(done)
    assert "kafka.ssl_cafile" in done.stderr


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read(aura: Aura, tmp_path: Path, content: str | None) -> None:
    """A file that is not there, or no PEM, is said before anything is sent."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    done = aura("flow", *READ, AURA_KAFKA__SSL_CAFILE=str(path))
    assert f"kafka.ssl_cafile = '{path}'" in denied(done)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", [READ, ("topics", "apply"), ("cluster", "--source", "kafka")])
def test_wrong_password(aura: Aura, command: tuple[str, ...]) -> None:
    """The broker's own words, the user, and where to look; not the password."""
    message = denied(aura("flow", *command, AURA_KAFKA__SASL_PLAIN_PASSWORD="guessed-wrong-55a1"))
    assert "does not let 'flow' in" in message
    assert "invalid credentials with SASL mechanism SCRAM-SHA-512" in message


@pytest.mark.timeout(300)
def test_a_mechanism_that_the_broker_does_not_know(aura: Aura) -> None:
    """It is named."""
    message = denied(aura("flow", "topics", "apply", AURA_KAFKA__SASL_MECHANISM="PLAIN"))
    assert "it does not know PLAIN" in message


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("user", "command", "what"),
    [
        ("nobody", READ, "there is no topic aura.events that 'nobody' may see"),
        ("reader", ("produce",), "there is no topic aura.events that 'reader' may see"),
        ("flow", ("produce",), "is not allowed"),
        ("flow", ("topics", "apply", "--set", "kafka.prefix=aura.more."), "does not allow it"),
    ],
)
def test_missing_grants(aura: Aura, user: str, command: tuple[str, ...], what: str) -> None:
    """Who was not granted what a command needs is told that, and where the grants are listed."""
    made = aura("administrator", "topics", "apply")
    assert made.returncode == 0, made.stderr
    message = denied(aura(user, *command))
    assert what in message
    assert "docs/security.md" in message


def test_a_topic_that_is_misspelt_does_not_come_to_be(aura: Aura) -> None:
    """The broker makes no topic by itself."""
    assert aura("administrator", "topics", "apply").returncode == 0
    message = denied(aura("flow", *READ, AURA_KAFKA__PREFIX="aura.misspelt."))
    assert "there is no topic aura.misspelt.aura.events" in message


def test_the_engines_own_port_stays_closed(aura: Aura) -> None:
    """It would let everybody in: a run that is told to open it does not start."""
    assert "BYTEWAX_DATAFLOW_API_ENABLED" in denied(aura("flow", *READ, BYTEWAX_DATAFLOW_API_ENABLED="1"))


def test_the_grants_name_topics_that_there_are() -> None:
    """The table grants no right to change what somebody else writes."""
    table = (ROOT / "docs/security.md").read_text()
    declared = (ROOT / "infra/kafka/topics.toml").read_text()
    assert all(f'["{topic}"]' in declared for topic in TOPICS.values())
    rows = [line for line in table.splitlines() if line.startswith("| `flow` | topic")]
    assert not any("aura.events" in row and "Write" in row for row in rows)
    assert not any("All" in row.split("|")[4] for row in rows)
