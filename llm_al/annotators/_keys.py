"""One key from the keyboard, or one line from a pipe."""

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["keyboard", "read_key"]


def read_key() -> str:
    """Return one key without waiting for Enter (inside `keyboard`); from a pipe, one line without its end.

    An empty line gives a line feed, the end of the input an empty string, an arrow or function key a
    bare escape.
    """
    if sys.stdin.isatty():
        return _read_character()
    line = sys.stdin.readline()
    return line.rstrip("\r\n") or line[:1]


if sys.platform == "win32":
    import msvcrt

    @contextlib.contextmanager
    def keyboard() -> Iterator[None]:
        """Hand keys over one by one; nothing to set on this system."""
        yield

    def _read_character() -> str:
        return msvcrt.getwch()

else:
    import os
    import select
    import termios
    import tty

    @contextlib.contextmanager
    def keyboard() -> Iterator[None]:
        """Hand keys over one by one and without echo until the block ends; does nothing for a pipe."""
        if not sys.stdin.isatty():
            yield
            return
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        # cbreak keeps Ctrl-C working, raw would not; draining keeps what was typed ahead.
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def _read_character() -> str:
        descriptor = sys.stdin.fileno()
        first = os.read(descriptor, 1)
        if first == b"\x1b":
            _drop_sequence(descriptor)
            return "\x1b"
        n_more = sum(first >= bound for bound in (b"\xc0", b"\xe0", b"\xf0"))
        rest = b"".join(os.read(descriptor, 1) for _ in range(n_more))
        return (first + rest).decode("utf-8", "replace")

    def _drop_sequence(descriptor: int) -> None:
        """Read the rest of an escape sequence: parameters up to a final byte (ECMA-48, 5.4)."""
        n_read = 0
        while select.select([descriptor], [], [], 0.0)[0]:
            byte = os.read(descriptor, 1)
            n_read += 1
            is_introducer = n_read == 1 and byte in (b"[", b"O")
            if not is_introducer and b"@" <= byte <= b"~":
                return
