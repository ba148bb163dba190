"""A process that is forked in advance, as its parent sees it: orders go in, words come out, a heartbeat says it lives.

Forking takes milliseconds where starting Python and importing takes two seconds. The parent has imported everything and
runs no threads of its own. A child ends with its parent, whatever ends that.
"""

import contextlib
import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["BEAT_S", "KILLED", "Channel", "Process", "die_with_parent"]

BEAT_S = 0.2
"""Time between two beats of a living process."""
KILLED = "killed by SIGKILL"
"""How a process ends that somebody else has ended."""
_PR_SET_PDEATHSIG = 1


class Channel:
    """A line of JSON at a time, between a process and its parent.

    Parameters
    ----------
    end
        One end of a pair of sockets.
    beats
        Memory that both see.
    """

    def __init__(self, end: socket.socket, beats: mmap.mmap) -> None:
        self._end, self._beats, self._rest = end, beats, b""

    def say(self, words: dict[str, Any]) -> None:
        """Send words; if nobody listens any more, they are lost."""
        with contextlib.suppress(OSError):
            self._end.sendall(json.dumps(words).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        """Return the next words, None once there are no more to come; wait for them if the socket does.

        Raises
        ------
        BlockingIOError
            There are none now.
        """
        while b"\n" not in self._rest:
            try:
                data = self._end.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        words: dict[str, Any] = json.loads(line)
        return words

    def beat(self, look: Callable[[], object] = lambda: None) -> None:
        """Beat, from a thread of its own, for as long as the process runs Python; `look` each time."""

        def forever() -> None:
            while True:
                self._beats[:8] = time.monotonic_ns().to_bytes(8, "little")
                look()
                time.sleep(BEAT_S)

        threading.Thread(target=forever, name="heartbeat", daemon=True).start()


class Process:
    """A child of this process.

    Parameters
    ----------
    main
        What it does; when it returns the process exits with 0, if it raises with 1.
    close
        Descriptors of the parent that are not the child's business.
    """

    def __init__(self, main: Callable[[Channel], None], *, close: Iterable[int] = ()) -> None:
        ours, theirs = socket.socketpair()
        beats, parent = mmap.mmap(-1, mmap.PAGESIZE), os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _live(main, Channel(theirs, beats), [*close], parent)
        theirs.close()
        ours.setblocking(False)
        self._socket, self._channel, self._beats = ours, Channel(ours, beats), beats
        self._seen, self._missed, self._assembled = b"", 0, False
        self.name = f"process {self.pid}"
        self.said: list[dict[str, Any]] = []
        self.died: str | None = None

    def fileno(self) -> int:
        """Return what `select` watches: readable when there are words, or the process has ended."""
        return self._socket.fileno()

    def assemble(self) -> None:
        """Order it to assemble the flow, once."""
        if not self._assembled:
            self._assembled = True
            self.order({"do": "assemble"})

    def order(self, words: dict[str, Any]) -> None:
        """Send an order."""
        self._socket.setblocking(True)
        self._channel.say(words)
        self._socket.setblocking(False)

    def listen(self) -> None:
        """Take in what it says; note in `died` how it ended, if it has."""
        while self.died is None:
            try:
                words = self._channel.hear()
            except BlockingIOError:
                return
            if words is None:
                self._reap()
            else:
                self.said.append(words)

    def has_said(self, what: str) -> dict[str, Any] | None:
        """Return the words of that kind, if they have been said."""
        return next((words for words in self.said if words["say"] == what), None)

    def check(self) -> int:
        """Return how many checks in a row have found no new beat."""
        now = self._beats[:8]
        self._missed = self._missed + 1 if now == self._seen else 0
        self._seen = now
        return self._missed

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.died is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it now; a stopped process too."""
        self.signal(signal.SIGKILL)
        if self.died is None:
            self._reap()

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.died = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        self._socket.close()
        self._beats.close()


def die_with_parent() -> None:
    """Let Linux end this process when its parent ends, however that does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _live(main: Callable[[Channel], None], channel: Channel, close: list[int], parent: int) -> None:
    """Be the child; never return."""
    status = 1
    try:
        die_with_parent()
        if os.getppid() == parent:  # it may have ended before it could be told of
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells everyone; the parent decides
            for descriptor in close:
                os.close(descriptor)
            main(channel)
            status = 0
    finally:
        os._exit(status)
