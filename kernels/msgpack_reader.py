"""Read msgpack token by token, where a record's shape is known: nothing is made from an announced count.

The msgpack package makes room for as many elements as a header announces, on each of up to 1,024 levels, and
copies every block of bytes. This reader does neither, and refuses what it is not asked for, so that depth and
extension types do not exist for it. At about 0.5 us a token it is meant for few tokens and large blocks.
"""

from collections.abc import Mapping

from kernels.errors import BadRecord

__all__ = ["MsgpackReader"]

# Kind of token: first and last tag of the short form, which holds the value; tag -> bytes of value behind it.
_TOKENS: Mapping[str, tuple[int, int, Mapping[int, int]]] = {
    "integer": (0x00, 0x7F, {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}),
    "map": (0x80, 0x8F, {0xDE: 2, 0xDF: 4}),
    "array": (0x90, 0x9F, {0xDC: 2, 0xDD: 4}),
    "text": (0xA0, 0xBF, {0xD9: 1, 0xDA: 2, 0xDB: 4}),
    "bytes": (0xC4, 0xC3, {0xC4: 1, 0xC5: 2, 0xC6: 4}),  # an empty range: no short form
}
_SIGNED = range(0xD0, 0xD4)


class MsgpackReader:
    """A place in `data`, and the tokens from there on.

    Raises
    ------
    BadRecord
        From every method: `truncated` where the data end too early, `malformed` where they are something
        else, `too_large` where more is announced than the caller allows.

    >>> reader = MsgpackReader(bytes([0x81, 0xA1, 0x76, 0x01]))
    >>> reader.count("map", most=4), reader.text(most=8), reader.integer()
    (1, 'v', 1)
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)

    def count(self, kind: str, *, most: int) -> int:
        """Return the announced size of a map, an array, a text or bytes."""
        size = self._value(kind)
        if size > most:
            raise BadRecord("too_large", f"{kind} of {size} at byte {self.at}, at most {most}")
        return size

    def integer(self) -> int:
        """Return an integer of 0 to 2**64 - 1."""
        value = self._value("integer")
        if value < 0:
            raise BadRecord("malformed", f"{value} before byte {self.at}, expected no integer below 0")
        return value

    def text(self, *, most: int) -> str:
        """Return a text of at most `most` bytes of UTF-8."""
        start = self.skip(self.count("text", most=most))
        try:
            return str(self.data[start : self.at], "utf-8")
        except UnicodeDecodeError:
            raise BadRecord("malformed", f"text at byte {start} is not UTF-8") from None

    def skip(self, size: int) -> int:
        """Move over `size` bytes and return where they start."""
        start = self.at
        if size > self.end - start:
            raise BadRecord("truncated", f"{size} bytes expected at byte {start}, {self.end - start} left")
        self.at = start + size
        return start

    def finish(self) -> None:
        """Refuse bytes that nothing has asked for."""
        if self.at != self.end:
            raise BadRecord("malformed", f"{self.end - self.at} bytes after the end, at byte {self.at}")

    def _value(self, kind: str) -> int:
        first, last, widths = _TOKENS[kind]
        start = self.skip(1)
        tag = self.data[start]
        if first <= tag <= last:
            return tag - first
        if tag not in widths:
            raise BadRecord("malformed", f"tag 0x{tag:02x} at byte {start}, expected {kind}")
        start = self.skip(widths[tag])
        return int.from_bytes(self.data[start : self.at], "big", signed=tag in _SIGNED)
