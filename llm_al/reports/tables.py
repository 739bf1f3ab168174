"""Plain rows for the terminal and for Markdown."""

from collections.abc import Mapping, Sequence

from llm_al.measures import RoundRecord
from llm_al.reports.amounts import accuracy, clean, count, number, usd

__all__ = ["markdown", "markdown_cell", "round_rows"]

_MARKDOWN_SYNTAX = str.maketrans(
    {character: f"\\{character}" for character in "\\|`*_[]#$~!"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)


def round_rows(records: Sequence[RoundRecord]) -> list[dict[str, str]]:
    """Return one row a round, every cell ready to print; no records give no rows.

    Columns, in order: round, human, LLM (accepted labels), pseudo, written (only where an LLM wrote texts that
    were learned from), accuracy, macro-F1, cost, seconds. Accuracy carries its interval; what was not measured
    is a dash.
    """
    has_written = any(record.n_synthetic for record in records)
    return [
        {
            "round": str(record.number),
            "human": count(record.n_human),
            "LLM": count(record.n_llm_accepted),
            "pseudo": count(record.n_pseudo),
            **({"written": count(record.n_synthetic)} if has_written else {}),
            "accuracy": accuracy(record.metrics),
            "macro-F1": number(record.metrics.macro_f1 if record.metrics else None),
            "cost": usd(record.cost_nanousd),
            "seconds": number(sum(record.seconds.values()), 1),
        }
        for record in records
    ]


def markdown_cell(text: str) -> str:
    r"""Return `text` on one line with everything that Markdown or HTML would read escaped.

    Examples
    --------
    >>> print(markdown_cell("a|b <i>"))
    a\|b &lt;i&gt;
    """
    return " ".join(clean(text).split()).translate(_MARKDOWN_SYNTAX)


def markdown(rows: Sequence[Mapping[str, str]], *, right: Sequence[str] = ()) -> str:
    """Return rows as a Markdown table whose columns are the keys of the first row.

    Parameters
    ----------
    rows : sequence of mapping
        All with the same keys; none gives an empty string.
    right : sequence of str
        Columns to align to the right.
    """
    if not rows:
        return ""
    columns = list(rows[0])
    head = "| " + " | ".join(map(markdown_cell, columns)) + " |"
    rule = "|" + "|".join(" ---: " if column in right else " --- " for column in columns) + "|"
    body = ["| " + " | ".join(markdown_cell(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join([head, rule, *body])
