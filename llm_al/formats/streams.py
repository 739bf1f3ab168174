"""Bytes of a user's file as text: compression, encodings, and refusing what is not text."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from llm_al.errors import DataError
from llm_al.formats.rows import Record

__all__ = ["MAX_LINE_CHARS", "TEXT_SUFFIXES", "bounded_lines", "guarded", "open_text", "read_head"]

MAX_LINE_CHARS = 4_000_000
"""A longer line is read past, not held."""
TEXT_SUFFIXES = ".csv, .tsv, .jsonl, .ndjson, .txt (each also as .gz)"

_HEAD_BYTES = 65_536
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (
    (b"PK\x03\x04", "a zip archive or an Excel or Word file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PAR1", "a Parquet file (name it .parquet)"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x1f\x8b", "a gzip archive inside another"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
)


def _open_bytes(path: Path) -> BinaryIO:
    with path.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip else path.open("rb")


def _encoding(head: bytes) -> str:
    return next((name for bom, name in _BOMS if head.startswith(bom)), "utf-8")


def _refuse_binary(path: Path, head: bytes) -> None:
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise DataError(f"{path} is {what}, not text; allowed: {TEXT_SUFFIXES} or .parquet; export it as CSV")
    if b"\x00" in head and not _encoding(head).startswith(("utf-16", "utf-32")):
        raise DataError(
            f"{path} is a binary file (NUL bytes), not text; allowed: {TEXT_SUFFIXES} or .parquet; "
            "save it as UTF-8 text"
        )


def read_head(path: Path) -> str:
    """Return the decoded start of a text file (up to 64 KiB), for sniffing.

    Raises
    ------
    DataError
        If the file is missing, unreadable, empty, binary or a damaged archive.
    """
    try:
        with _open_bytes(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give the path of an existing file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise DataError(f"{path} is a damaged gzip file ({exc}); compress it again") from exc
    except OSError as exc:
        raise DataError(f"{path} cannot be read ({exc.strerror}); check its permissions") from exc
    _refuse_binary(path, head)
    text = codecs.getincrementaldecoder(_encoding(head))("replace").decode(head)
    if not text.strip():
        raise DataError(f"{path} is empty; it has to hold at least one text")
    return text


def open_text(path: Path, *, newline: str | None = None) -> TextIO:
    """Open a text file, gzipped or not, in the encoding that its byte order mark names, else UTF-8.

    Bytes that do not decode come through as lone surrogates, so that one bad row does not end the reading.
    """
    raw = _open_bytes(path)
    encoding = _encoding(raw.read(4))
    raw.seek(0)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass"
    return io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline=newline)


def bounded_lines(stream: TextIO) -> Iterator[tuple[str, bool]]:
    """Yield (line, is_whole); of a line over `MAX_LINE_CHARS` only the start is kept."""
    while line := stream.readline(MAX_LINE_CHARS):
        is_whole = len(line) < MAX_LINE_CHARS or line.endswith("\n")
        rest = line
        while rest and not rest.endswith("\n") and not is_whole:
            rest = stream.readline(MAX_LINE_CHARS)
        yield line, is_whole


def guarded(name: str, records: Iterator[Record]) -> Iterator[Record]:
    """Pass records through; a file that breaks off while it is read becomes one `DataError`."""
    number = 0
    try:
        for record in records:
            number = record.number
            yield record
    except (EOFError, zlib.error, UnicodeError) as exc:
        raise DataError(f"{name} is damaged after row {number} ({exc}); nothing was added; repair the file") from exc
    except OSError as exc:
        reason = exc.strerror or str(exc).splitlines()[0]
        raise DataError(f"{name} cannot be read past row {number} ({reason}); nothing was added; repair it") from exc
