"""Answers that were paid before: an LLM annotator that reads them from a recording."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llm_al.annotators._tape import ABSENT, NO_LABEL, Recorded, Tape
from llm_al.errors import ConfigError
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Example, LabelScheme, Signal

__all__ = ["Replay", "Tape", "model_of_run"]


@dataclass
class _Last:
    """What the last call could not answer."""

    n_missing: int = 0


def model_of_run(run: str, runs: Sequence[str], main: str) -> str:
    """Return the model behind a run that does not name it.

    In this order: what stands before the first ``|`` or ``/`` of the run's name; the file's main model (`llm`) where
    that is none of the runs, because the runs are then its prompts; what stands before the first ``_``. The
    mistake that this makes is to merge two models into one voter, which makes consensus less sure, not more.

    Examples
    --------
    >>> model_of_run("gpt_4|8-shot", ["gpt_4|8-shot"], "GPT-4")
    'gpt_4'
    >>> model_of_run("zero_shot", ["zero_shot", "few_shot"], "llama3.2-3b")
    'llama3.2-3b'
    >>> model_of_run("llama3.2-3b_few_shot", ["llama3.2-3b_few_shot", "qwen"], "qwen")
    'llama3.2-3b'
    """
    for mark in ("|", "/"):
        if mark in run.strip(mark):
            return run.partition(mark)[0].removeprefix("llm:")
    return main if main not in runs else run.partition("_")[0] or run


@dataclass(frozen=True)
class Replay:
    """Answers from a recording, free of charge: one annotation an example and run.

    An example is found by its id when the recorded text is the same (or was not recorded), else by its text, ends
    trimmed. Examples that are not in the recording get no annotation; `stop_reason` counts them.

    A recorded label is matched exactly, then without case; names in `none_of_these` (``oos``, ``other``) become
    `NONE_OF_THESE`; any other label, and a missing one, is an abstention with its reason, as it would be live.

    Parameters
    ----------
    scheme : LabelScheme
    tape : Tape
        The recording; `Replay.of` builds it from rows.
    runs : tuple of str
        Runs that answer, by name; empty: all samples of the recording, or its main run where it has no samples.
    models : mapping of str to str
        Run -> model, where `model_of_run` would guess wrong; the runs of one model are one voter. A recording that
        names the models itself needs none.
    none_of_these : tuple of str
        Recorded labels that mean that no label fits.
    signal : str
        Name of the signal that a recorded confidence is, where the recording does not say (see `Signal`).
    round : int

    Raises
    ------
    ConfigError
        If a run is not in the recording.
    """

    scheme: LabelScheme
    tape: Tape = field(compare=False)
    runs: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    none_of_these: tuple[str, ...] = ()
    signal: str = Signal.VERBALISED.value
    round: int = 0
    name: str = "replay"
    last: _Last = field(default_factory=_Last, repr=False, compare=False)

    @classmethod
    def of(cls, rows: Iterable[Recorded], scheme: LabelScheme, **options: Any) -> "Replay":
        """Build it from rows of a recording; `options` are the fields from `runs` on."""
        return cls(scheme, Tape(rows), **options)

    def __post_init__(self) -> None:
        known = list(self.tape.columns)
        for where, names in (("runs", self.runs), ("models", self.models)):
            for name in names:
                if name not in known:
                    raise ConfigError(f"llm.options.{where}: unknown run {name!r}; choose from: {', '.join(known)}")
        if self.signal not in set(Signal):
            allowed = ", ".join(Signal)
            raise ConfigError(f"llm.options.signal is {self.signal!r}; choose from: {allowed}; correct it")

    @property
    def kind(self) -> AnnotatorKind:
        """Always LLM."""
        return AnnotatorKind.LLM

    @property
    def stop_reason(self) -> str:
        """How many texts of the last `annotate` are not in the recording; empty when all are."""
        n = self.last.n_missing
        return f"{n} {'text has' if n == 1 else 'texts have'} no recorded answer" if n else ""

    @property
    def played_runs(self) -> tuple[str, ...]:
        """The runs that answer."""
        columns = self.tape.columns
        return self.runs or tuple(name for name in columns if columns[name].is_sample) or tuple(columns)

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return the recorded answers, example by example and run by run."""
        runs, meaning = self.played_runs, self._meanings()
        models = {run: self._model(run) for run in runs}
        self.last.n_missing = 0
        found: list[Annotation] = []
        for example in examples:
            row = self.tape.find(example.id, example.text)
            codes = [] if row is None else [(run, self.tape.columns[run].get(row)) for run in runs]
            given = [(run, code) for run, code in codes if code != ABSENT]
            self.last.n_missing += not given
            found += [
                self._annotation(example.id, run, row or 0, meaning=meaning[code], model=models[run])
                for run, code in given
            ]
        return found

    def _model(self, run: str) -> str:
        tape = self.tape
        samples = [name for name, column in tape.columns.items() if column.is_sample]
        main = next(iter(tape.mains), run)
        return self.models.get(run) or tape.columns[run].model or model_of_run(run, samples or [run], main)

    def _meanings(self) -> dict[int, tuple[str | None, str]]:
        """Return label number -> (label of the scheme, why there is none)."""
        folded = {name.casefold(): name for name in (*self.scheme.names, NONE_OF_THESE)}
        folded |= {name.strip().casefold(): NONE_OF_THESE for name in self.none_of_these}
        meaning: dict[int, tuple[str | None, str]] = {NO_LABEL: (None, "the recorded run gave no label")}
        for code, raw in enumerate(self.tape.labels):
            label = raw if raw in self.scheme.names else folded.get(raw.strip().casefold())
            meaning[code] = (label, "" if label else f"the recorded label {raw[:80]!r} is not in the list")
        return meaning

    def _annotation(
        self, example_id: str, run: str, row: int, *, meaning: tuple[str | None, str], model: str
    ) -> Annotation:
        column = self.tape.columns[run]
        more = column.more.get(row, {})
        raw = column.confidence[row]
        confidence = None if np.isnan(raw) else float(raw)
        is_own = confidence is None or column.has_signals
        signals = more.get("signals") or ({} if is_own else {self.signal: confidence})
        label, reason = meaning
        return Annotation(
            example_id,
            label,
            run,
            kind=self.kind,
            model=model,
            prompt=column.prompt or run,
            confidence=confidence,
            proba=self._proba(more.get("proba")),
            signals=dict(signals),
            round=self.round,
            reason=more.get("reason") or reason,
        )

    def _proba(self, recorded: Mapping[str, float] | None) -> tuple[float, ...] | None:
        """Return probabilities in the order of the scheme; None where the recording has them for other labels."""
        if not recorded or set(recorded) != set(self.scheme.names):
            return None
        return tuple(float(recorded[name]) for name in self.scheme.names)
