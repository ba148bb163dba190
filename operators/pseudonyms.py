"""Ids of agents in results as pseudonyms: the same agent has the same one everywhere, and only the key leads back.

What is said of an agent in words is never its id. Late events and dead letters are input, which goes back where it came
from: they keep their ids, in topics that readers of results need not see.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.frame import decode_frame, encode_frame
from kernels.siphash import siphash
from operators.batch import Alerts
from operators.result import Result
from operators.result_tables import Output
from operators.session import Sessions

__all__ = ["Pseudonyms"]

_IDS = ("agent_id", "cause_agent")


class Pseudonyms:
    """Under one key.

    Parameters
    ----------
    key
        16 bytes.

    Examples
    --------
    >>> [alert] = Pseudonyms(bytes(16))(Alerts([{"agent_id": 7, "agent": "4b1814"}])).rows
    >>> alert
    {'agent_id': 13180436571133193200, 'agent': None}
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, output: Output) -> Output:
        """Return the output with pseudonyms."""
        if isinstance(output, Alerts):
            return Alerts([self._alert(row) for row in output.rows])
        if isinstance(output, Sessions):
            return replace(output, columns=self._columns(output.columns))
        if isinstance(output, Result):
            return replace(output, id=self._about(output), columns=self._columns(output.columns))
        return output

    def _alert(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["agent_id"] is None:
            return row
        own = np.array([row["agent_id"]], np.uint64)
        return row | {"agent_id": int(siphash(own, self._key)[0]), "agent": None}

    def _columns(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        found = {n: siphash(v, self._key) if n in _IDS else v for n, v in columns.items()}
        if "slice" in found:
            found["slice"] = np.array([self._slice(text) for text in found["slice"]], object)
        return found

    def _slice(self, text: str) -> str:
        """Return a slice of the input under pseudonyms: it still reproduces what it is a slice for."""
        if not text:
            return text
        columns = decode_frame(b64decode(text)).columns
        return b64encode(encode_frame(self._columns(columns))).decode()

    def _about(self, result: Result) -> str:
        """Return the id of the record; that of a violation may be made of ids of agents."""
        if result.kind != "violations":
            return result.id
        return blake2b(result.id.encode(), key=self._key, digest_size=16).hexdigest()
