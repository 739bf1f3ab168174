"""Recorded LLM answers: one JSON object an example, with the answer of every run, to be replayed or compared."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from llm_al.errors import DataError
from llm_al.formats.streams import MAX_LINE_CHARS, bounded_lines, open_text, read_head

__all__ = ["MAIN_RUN", "RecordedRow", "read_llm_runs", "write_llm_runs"]

MAIN_RUN = "main"
"""Name of the run behind `llm_label` where the row does not name the model."""

_SUFFIXES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """The answers about one example.

    Parameters
    ----------
    id : str
    text : str
        Empty where the file does not hold it.
    runs : mapping of str to mapping
        Run name -> ``{"label": str or None, "confidence": float or absent, ...}``; what else the run recorded
        (`model`, `prompt`, `signals`, `proba`, `reason`) is kept as it stands.
    main : str
        Name of the run behind `llm_label`, which may be one of `runs` or stand beside them.
    main_answer : mapping or None
        The answer of that run; None where the row has no `llm_label`.
    gold : str or None
        Label given by people; for comparison only.
    """

    id: str
    text: str
    runs: Mapping[str, Mapping[str, Any]]
    main: str = MAIN_RUN
    main_answer: Mapping[str, Any] | None = None
    gold: str | None = field(default=None)


def read_llm_runs(path: Path) -> Iterator[RecordedRow]:
    """Yield the rows of a recorded file (``.jsonl`` or ``.jsonl.gz``) one by one; blank lines are passed over.

    Unknown keys are ignored. A label that the model made up is kept: whoever replays it decides what it means.

    Raises
    ------
    DataError
        At the first bad line, with the file, the line and what is wrong with it; also if the file is missing or empty.
    """
    read_head(path)
    return _rows(path)


def _rows(path: Path) -> Iterator[RecordedRow]:
    with open_text(path) as stream:
        lines = enumerate(bounded_lines(stream), start=1)
        while True:
            number = 0
            try:
                number, (line, is_whole) = next(lines)
            except StopIteration:
                return
            except (EOFError, OSError) as exc:
                raise DataError(f"{path} is damaged ({exc}); record or download it again") from exc
            if line.strip():
                yield _parse(line, is_whole=is_whole, where=f"{path}, line {number}")


def _parse(line: str, *, is_whole: bool, where: str) -> RecordedRow:
    if not is_whole:
        raise DataError(f"{where}: the line has more than {MAX_LINE_CHARS:,} characters; split the text")
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"{where}: no JSON ({str(exc)[:80]}); expected one object a line") from None
    if not isinstance(cells, dict):
        raise DataError(f"{where}: a JSON {type(cells).__name__}; expected an object with id, text and llm_label")
    return _row(cells, where)


def _row(cells: Mapping[str, Any], where: str) -> RecordedRow:
    id_ = cells.get("id")
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise DataError(f"{where}: id is {id_!r}; expected a text or a whole number; give every row its id")
    samples = cells.get("llm_samples") or {}
    if not isinstance(samples, dict):
        raise DataError(f"{where}: llm_samples is a {type(samples).__name__}; expected an object of run and answer")
    if "llm_label" not in cells and not samples:
        raise DataError(f"{where}: neither llm_label nor llm_samples; a recorded row needs an answer")
    runs = {name: _answer(value, f"{where}: run {name!r}") for name, value in samples.items()}
    main_answer = None
    if "llm_label" in cells:
        given = {"label": cells["llm_label"], "confidence": cells.get("llm_confidence")}
        main_answer = _answer(given, f"{where}: llm_label")
    gold, text = cells.get("gold"), cells.get("text")
    return RecordedRow(
        str(id_),
        text if isinstance(text, str) else "",
        runs,
        str(cells.get("llm") or MAIN_RUN),
        main_answer,
        gold if isinstance(gold, str) else None,
    )


def _answer(value: Any, where: str) -> Mapping[str, Any]:
    answer = value if isinstance(value, dict) else {"label": value}
    label, confidence = answer.get("label"), answer.get("confidence")
    if label is not None and not isinstance(label, str):
        raise DataError(f"{where} is a {type(label).__name__}; expected one label as text, or null for no answer")
    if confidence is None:
        return answer
    is_number = isinstance(confidence, int | float) and not isinstance(confidence, bool)
    if not is_number or not 0.0 <= confidence <= 1.0:
        raise DataError(f"{where} has confidence {confidence!r}; expected 0 to 1, or null; divide percentages by 100")
    return answer


def write_llm_runs(rows: Iterable[RecordedRow], path: Path) -> int:
    """Write rows, whole or not at all, and return how many there were; gzipped when the name ends in ``.gz``.

    Raises
    ------
    DataError
        If the name ends in neither ``.jsonl`` nor ``.jsonl.gz``.
    """
    if not path.name.endswith(_SUFFIXES):
        raise DataError(f"{path} is no name for recorded answers; let it end in one of: {', '.join(_SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _opened(aside, is_gzip=path.name.endswith(".gz")) as stream:
            n_rows = 0
            for row in rows:
                stream.write(json.dumps(_cells(row), ensure_ascii=False) + "\n")
                n_rows += 1
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return n_rows


def _opened(path: Path, *, is_gzip: bool) -> TextIO:
    if is_gzip:
        return gzip.open(path, "wt", encoding="utf-8", errors="surrogatepass", newline="\n")
    return path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n")


def _cells(row: RecordedRow) -> dict[str, Any]:
    main = row.main_answer or {}
    cells: dict[str, Any] = {"id": row.id, "text": row.text, "gold": row.gold, "llm_label": main.get("label")}
    if main.get("confidence") is not None:
        cells["llm_confidence"] = main["confidence"]
    return {**cells, "llm_samples": dict(row.runs), "llm": row.main}
