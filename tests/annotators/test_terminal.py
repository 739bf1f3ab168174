import io
import os
import select
import subprocess
import sys
from collections.abc import Sequence

import pytest
from rich.console import Console

from llm_al.annotators.terminal import Answer, Terminal, Undo, label_keys
from llm_al.protocols import Annotator
from llm_al.types import NONE_OF_THESE, SKIP, AnnotatorKind, Example, Label, LabelScheme

SCHEME = LabelScheme((Label("spam", "unwanted"), Label("ham"), Label("hammer")), "Read [bold]all[/bold] of it.")
EXAMPLES = [Example("1", "win money"), Example("2", "see you [red]later"), Example("3", "a \x1b[31mtool\u202e")]


class Keys:
    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = list(keys)

    def __call__(self) -> str:
        return self.keys.pop(0) if self.keys else ""


def _terminal(keys: Sequence[str], scheme: LabelScheme = SCHEME) -> tuple[Terminal, io.StringIO]:
    screen = io.StringIO()
    return Terminal(scheme, "ann", Console(file=screen, width=100), Keys(keys)), screen


def _labels(keys: Sequence[str]) -> list[tuple[str, str | None]]:
    return [(a.example_id, a.label) for a in _terminal(keys)[0].annotate(EXAMPLES)]


def test_one_key_answers() -> None:
    assert _labels("12x") == [("1", "spam"), ("2", "ham"), ("3", NONE_OF_THESE)]


def test_space_skips() -> None:
    assert _labels(["1", " ", "2"]) == [("1", "spam"), ("2", SKIP), ("3", "ham")]


@pytest.mark.parametrize("undo", ["u", "\x7f", "\b"])
def test_undo_takes_the_last_answer_back_and_asks_again(undo: str) -> None:
    events = list(_terminal(["1", undo, "2", "1", "1"])[0].answers(EXAMPLES))
    assert events[1] == Undo("1")
    answers = [(e.annotation.example_id, e.annotation.label) for e in events if isinstance(e, Answer)]
    assert answers == [("1", "spam"), ("1", "ham"), ("2", "spam"), ("3", "spam")]
    assert _labels(["1", undo, "2", "1", "1"]) == [("1", "ham"), ("2", "spam"), ("3", "spam")]


def test_undo_reaches_back_to_the_first_example_and_no_further() -> None:
    terminal, screen = _terminal(["u", "1", "1", "u", "u", "2", "q"])
    assert [(a.example_id, a.label) for a in terminal.annotate(EXAMPLES)] == [("1", "ham")]
    assert "nothing to undo yet" in screen.getvalue()


def test_each_answer_is_handed_over_before_the_next_text_is_shown() -> None:
    terminal, screen = _terminal("12")
    answers = terminal.answers(EXAMPLES)
    next(answers)
    assert "win money" in screen.getvalue()
    assert "see you" not in screen.getvalue()


@pytest.mark.parametrize("end", ["q", "", "\x04"])
def test_quitting_keeps_what_was_answered(end: str) -> None:
    assert _labels(["1", end, "2"]) == [("1", "spam")]


def test_ctrl_c_is_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        _labels(["\x03"])


def test_unknown_keys_show_the_help_and_change_nothing() -> None:
    terminal, screen = _terminal(["z", "\x1b", "?", "\r", "1"])
    assert next(terminal.answers(EXAMPLES)).annotation.label == "spam"
    assert screen.getvalue().count("u or Backspace: undo") == 5


def test_g_shows_the_guidelines_literally() -> None:
    terminal, screen = _terminal(["g", "1"])
    next(terminal.answers(EXAMPLES))
    assert "Read [bold]all[/bold] of it." in screen.getvalue()


def test_texts_are_shown_as_they_are_and_cannot_steer_the_terminal() -> None:
    terminal, screen = _terminal("111")
    terminal.annotate(EXAMPLES)
    assert "see you [red]later" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()
    assert "\u202e" not in screen.getvalue()


def test_labels_are_found_by_name() -> None:
    assert _labels(["/spa", "/ham", "/", *"mm", "\r"])[:2] == [("1", "spam"), ("2", "ham")]
    assert _labels(["/", *"mmx", "\x7f", "e", "\r"]) == [("1", "hammer")]
    terminal, screen = _terminal(["/am", "HAM"])
    assert next(terminal.answers(EXAMPLES)).annotation.label == "ham"
    assert "3 labels match 'am': spam, ham, hammer" in screen.getvalue()


def test_no_label_key_is_a_command() -> None:
    keys = label_keys([f"n{i}" for i in range(40)])
    assert list(keys)[:10] == [*"123456789", "a"]
    assert len(keys) == 9 + 22
    assert not {"x", "u", "q", "g", "/", "?", " "} & set(keys)


def test_annotations_name_the_person() -> None:
    terminal, _ = _terminal("1")
    annotation = terminal.annotate(EXAMPLES)[0]
    assert (annotation.source, annotation.kind) == ("ann", AnnotatorKind.HUMAN)
    assert annotation.duration_s is not None
    assert isinstance(terminal, Annotator)


SCRIPT = """
from llm_al.annotators.terminal import Terminal
from llm_al.types import Example, Label, LabelScheme
terminal = Terminal(LabelScheme((Label("spam"), Label("ham"))))
found = terminal.annotate([Example(str(n), f"text {n}") for n in range(5)])
print("FOUND", [a.label for a in found])
"""


def test_lines_of_a_pipe_answer_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input="1\nham\n \n\n?\n2\n", capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "FOUND ['spam', 'ham', 'skip', 'ham']", done.stderr


def _read_until(descriptor: int, wanted: str) -> str:
    shown = b""
    while wanted.encode() not in shown:
        ready, _, _ = select.select([descriptor], [], [], 30.0)
        assert ready, f"no {wanted!r} in {shown!r}"
        shown += os.read(descriptor, 4096)
    return shown.decode()


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_single_keys_of_a_real_terminal_answer_without_enter() -> None:
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=child, stdout=child, stderr=child)
    try:
        # The arrow key is no answer: the text stays.
        for shown, key in [("1 of 5", b"1"), ("2 of 5", b"\x1b[A"), ("Backspace", b"2"), ("3 of 5", b"\x7f")]:
            _read_until(parent, shown)
            os.write(parent, key)
        for shown, key in [("2 of 5", b"x"), ("3 of 5", b"q")]:
            _read_until(parent, shown)
            os.write(parent, key)
        assert "['spam', 'none_of_these']" in _read_until(parent, "these']")
    finally:
        process.kill()
        process.wait()
        os.close(parent)
        os.close(child)


def test_a_closed_list_offers_no_way_out_of_it() -> None:
    closed = LabelScheme((Label("spam"), Label("ham")), is_open=False)
    keys = iter(["x", "1", ""])
    shown = io.StringIO()
    terminal = Terminal(closed, console=Console(file=shown, width=200), read_key=lambda: next(keys))
    assert [a.label for a in terminal.annotate([Example("a", "t")])] == ["spam"]
    assert "none of these" not in shown.getvalue()
