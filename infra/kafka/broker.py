"""Start, stop and ask after a real Apache Kafka broker, or three, from Maven's jars and without Docker.

    python3 infra/kafka/broker.py start                      # one broker on 127.0.0.1:9092
    python3 infra/kafka/broker.py start --brokers 3 --port 0 --dir /tmp/three
    python3 infra/kafka/broker.py stop --only 2 --dir /tmp/three
    python3 infra/kafka/broker.py status

Needs Python alone, Java 17 and, the first time, Maven. Everything listens on loopback. A folder keeps its addresses and
its data when its brokers stop. A process is ended by the number in its pid file, if that still is the same broker.
"""

import argparse
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BrokerError", "Cluster", "Node", "missing_tools"]

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache"
POM = HERE / "pom.xml"
LIBS = CACHE / "kafka-libs" / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
# The JVM's archive of the classes that a broker loads: it is up in 1 s with it, in 2.5 s without. Made last of all.
CLASSES = LIBS / "classes.jsa"
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", f"{LIBS}/*")
HEAP_MIB = {1: 512, 3: 256}  # by the number of brokers
PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven"}  # as Debian names them

HOST = "127.0.0.1"
DEFAULT_PORT = 9092
# Below the ports that Linux and macOS hand out by themselves: else, while a broker is down, a client that dials it may
# be given that very port and meet itself there.
FREE_PORTS = range(20_000, 32_000)
START_S = 90.0
STOP_S = 20.0
REPLICAS = ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
LISTS = ("listeners", "advertised.listeners")  # more of them are added
IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")


class BrokerError(Exception):
    """A broker could not be fetched, started or stopped; the message says what to do."""


@dataclass(frozen=True)
class Node:
    """One broker of a cluster: its number, its port, its folder."""

    number: int
    port: int
    folder: Path

    @property
    def properties(self) -> Path:
        """The file that it is started from; the path tells its process from all others."""
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        """What it has said since it was last started."""
        return self.folder / "broker.log"

    def pid(self) -> int | None:
        """Return the number of its process, or None: a number that another program has got since is not its."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a child that has ended stays a zombie until it is asked for
        return pid if str(self.properties) in _command_line(pid) else None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if pid := self.pid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def spawn(self, argv: list[str]) -> None:
        """Start its process in a group of its own, which outlives this one and gets no Ctrl-C of this terminal.

        Not in a session of its own: where Linux shares the processor out by session (`sched_autogroup_enabled`), clients
        that wait busily, as workers of a flow do while an epoch closes, can keep a broker of another session from it
        for seconds.
        """
        quiet = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        log = (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        actions = [quiet, log, (os.POSIX_SPAWN_DUP2, 1, 2)]
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setpgroup=0)
        (self.folder / "pid").write_text(str(pid))
        _within(2, self.pid)  # a process that has just begun has no command line yet

    def state(self) -> str:
        """Say in words whether it runs and answers."""
        if pid := self.pid():
            return f"process {pid}, {'answers' if self.answers() else 'does not answer'}"
        return "not running"

    def answers(self) -> bool:
        """Return whether it serves clients and counts itself among the brokers that are up."""
        request = struct.pack(">hhih4si?", 3, 4, 0, 4, b"aura", 0, False)  # Metadata, version 4, of no topic
        itself = struct.pack(f">ih{len(HOST)}si", self.number, len(HOST), HOST.encode(), self.port)
        try:
            with (
                socket.create_connection((HOST, self.port), timeout=2) as link,
                link.makefile("rb") as answer,
            ):
                link.sendall(struct.pack(">i", len(request)) + request)
                return itself in answer.read(*struct.unpack(">i", answer.read(4)))
        except (OSError, struct.error):
            return False


class Cluster:
    """One broker or three in a folder, which keeps their addresses, settings, logs and data.

    `brokers`: None for as many as the folder has, else 1. `port`: of the first broker; the others and the controllers
    take the ports after it; 0 for free ones, None for those that the folder has, else 9092. `more`: Kafka's settings in
    place of those that are written here, such as listeners with TLS; that on `port` stays, here alone asks it who is up.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int | None = None,
        port: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.more = folder.resolve(), dict(more or {})
        self.id, ports = _read_state(self.folder)
        count = brokers or len(ports) // 2 or 1
        if ports and len(ports) != 2 * count:
            raise BrokerError(
                f"{self.folder} has {len(ports) // 2} broker(s), not {count}: give another --dir"
            )
        if not ports or (port and port != ports[0]):
            ports = _ports(DEFAULT_PORT if port is None else port, 2 * count)
        self.ports = ports
        self.nodes = [Node(n + 1, ports[n], self.folder / str(n + 1)) for n in range(count)]

    @property
    def bootstrap(self) -> str:
        """The addresses that a client begins with."""
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def start(self, only: int | None = None) -> str:
        """Start the brokers that do not run, wait until they answer, return the bootstrap address."""
        _fetch_jars()
        self.launch(only, f"-XX:SharedArchiveFile={CLASSES}")
        return self.bootstrap

    def launch(self, only: int | None, *flags: str) -> None:
        """Do what `start` does, with the jars there and with more flags for the JVM."""
        heap = f"-Xmx{HEAP_MIB[len(self.nodes)]}m"
        with _lock(self.folder / "lock"):
            (self.folder / "cluster.json").write_text(json.dumps({"id": self.id, "ports": self.ports}))
            for node in [node for node in self._chosen(only) if not node.pid()]:
                self._prepare(node)
                node.spawn(_java(heap, *flags, "kafka.Kafka", str(node.properties)))
            for node in self._chosen(only):
                if not _within(START_S, node.answers, node.pid):
                    raise BrokerError(_failure(node))

    def stop(self, only: int | None = None) -> None:
        """Ask the brokers to end, wait for it, and kill those that do not; their data stay."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for node in self._chosen(only):
                node.send(number)
            if _within(STOP_S, lambda: not any(node.pid() for node in self._chosen(only))):
                return
        raise BrokerError(f"a broker of {self.folder} does not end; `status` gives its process")

    def kill(self, number: int) -> None:
        """End one broker by SIGKILL: it flushes nothing and says goodbye to nobody."""
        (node,) = self._chosen(number)
        node.send(signal.SIGKILL)
        _within(STOP_S, lambda: not node.pid())

    def _chosen(self, only: int | None) -> list[Node]:
        if only is not None and not 1 <= only <= len(self.nodes):
            raise BrokerError(f"no broker {only} in {self.folder}: they are numbered 1 to {len(self.nodes)}")
        return [node for node in self.nodes if only in (None, node.number)]

    def _prepare(self, node: Node) -> None:
        if not _is_free(node.port):
            raise BrokerError(f"port {node.port} is in use: end what has it, or give another --port (0: any)")
        node.folder.mkdir(exist_ok=True)
        node.properties.write_text((HERE / "server.properties").read_text() + self._own_settings(node))
        if not (node.folder / "data" / "meta.properties").exists():
            _run(
                _java(
                    "kafka.tools.StorageTool", "format", f"--cluster-id={self.id}", "-c", str(node.properties)
                )
            )

    def _own_settings(self, node: Node) -> str:
        count = len(self.nodes)
        controllers = self.ports[count:]
        settings = {
            "node.id": node.number,
            "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{controllers[node.number - 1]}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{node.port}",
            "controller.quorum.voters": ",".join(
                f"{n + 1}@{HOST}:{port}" for n, port in enumerate(controllers)
            ),
            "log.dirs": node.folder / "data",
            **{f"{topic}.replication.factor": count for topic in REPLICAS},
            **dict.fromkeys(IN_SYNC, count // 2 + 1),
        }
        settings |= {
            key: f"{settings[key]},{self.more[key]}" if key in LISTS else self.more[key] for key in self.more
        }
        return "\n# Of this broker alone.\n" + "".join(f"{key}={value}\n" for key, value in settings.items())


def missing_tools() -> list[str]:
    """Return what has to be installed before a broker can start; Maven only while the jars are not there."""
    needed = ["java"] if CLASSES.exists() else ["java", "mvn"]
    return [f"{tool} (Debian: {PACKAGES[tool]})" for tool in needed if not shutil.which(tool)]


def _fetch_jars() -> None:
    """Fetch the jars that pom.xml names, once; and let a broker run once, to archive the classes that it loads."""
    if missing := missing_tools():
        raise BrokerError(f"not found: {', '.join(missing)}. Install it, or use compose.yaml with Docker")
    with _lock(CACHE / "kafka-libs.lock"):
        if CLASSES.exists():
            return
        print("fetching Apache Kafka with Maven, once", file=sys.stderr)
        maven = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        _run([*maven, f"-DoutputDirectory={LIBS}"])
        with tempfile.TemporaryDirectory() as folder:
            trial = Cluster(Path(folder), port=0)
            trial.launch(None, f"-XX:ArchiveClassesAtExit={LIBS / 'unfinished.jsa'}")
            trial.stop()
        (LIBS / "unfinished.jsa").rename(CLASSES)


def _java(*arguments: str) -> list[str]:
    return [shutil.which("java") or "java", *JVM, *arguments]


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"`{' '.join(argv)}` failed:\n{_tail(done.stdout + done.stderr)}")


def _command_line(pid: int) -> str:
    """Return how a process was started; empty where there is none, or only a zombie."""
    if sys.platform == "linux":
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/cmdline").read_text()
        return ""
    ps = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout


def _within(seconds: float, done: Callable[[], object], while_: Callable[[], object] = lambda: 1) -> bool:
    """Wait until something is so, as long as something else is; return whether it is."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end or not while_():
            return bool(done())
        time.sleep(0.05)
    return True


def _ports(first: int, count: int) -> list[int]:
    if first:
        return list(range(first, first + count))
    free = (port for port in random.sample(FREE_PORTS, len(FREE_PORTS)) if _is_free(port))
    return [next(free) for _ in range(count)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does: ended links linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _read_state(folder: Path) -> tuple[str, list[int]]:
    """Return the cluster's id and the ports of its brokers, then of their controllers; none for a new folder."""
    try:
        known = json.loads((folder / "cluster.json").read_text())
    except FileNotFoundError:
        return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="), []
    return known["id"], known["ports"]


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes: two that start at once do not undo each other's work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tail(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-15:])


def _failure(node: Node) -> str:
    advice = f"It needs Java 17 or newer. If its data are damaged: stop it and delete {node.folder.parent}"
    return f"broker {node.number} is {node.state()}; the end of {node.log}:\n{_tail(node.log.read_text())}\n{advice}"


def main() -> int:
    """Carry out one command; return the exit code."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=("start", "stop", "status"))
    parser.add_argument("--brokers", type=int, choices=sorted(HEAP_MIB), help="how many (as before, else 1)")
    parser.add_argument("--port", type=int, help="of the first; 0: any free one (as before, else 9092)")
    parser.add_argument("--dir", type=Path, default=CACHE / "kafka", help="the data folder (.cache/kafka)")
    parser.add_argument("--only", type=int, metavar="N", help="start or stop this broker alone")
    given = parser.parse_args()
    try:
        cluster = Cluster(given.dir, brokers=given.brokers, port=given.port)
        if given.command == "status":
            print(
                "\n".join(
                    f"broker {node.number}: {HOST}:{node.port}, {node.state()}" for node in cluster.nodes
                )
            )
            return 0 if all(node.answers() for node in cluster.nodes) else 1
        if given.command == "stop":
            cluster.stop(given.only)
        else:
            print(cluster.start(given.only))
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
