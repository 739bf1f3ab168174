"""Read back any saved student, whatever its kind."""

import importlib
from pathlib import Path
from typing import cast

from llm_al.errors import StudentError
from llm_al.protocols import FittedStudent
from llm_al.students._folder import read_header

__all__ = ["load", "why_chosen"]

# By name, so that reading a logistic head does not import a training library.
_KINDS = {
    "auto": "llm_al.students.auto:FittedAuto",
    "blend": "llm_al.students.blend:FittedBlend",
    "head": "llm_al.students.head:FittedHead",
    "onnx": "llm_al.students.onnx_student:FittedOnnx",
    "setfit": "llm_al.students.setfit:FittedSetFit",
    "transformer": "llm_al.students.transformer:FittedTransformer",
}


def load(folder: str | Path) -> FittedStudent:
    """Read the student that `save` wrote to `folder`.

    Raises
    ------
    StudentError
        If the folder holds no student, one of an unknown kind, or a part is damaged.
    """
    folder = Path(folder)
    kind = read_header(folder).kind
    if kind not in _KINDS:
        raise StudentError(
            f"{folder} holds a student of kind {kind!r}; this version reads: {', '.join(sorted(_KINDS))}"
        )
    module, name = _KINDS[kind].split(":")
    return cast(FittedStudent, getattr(importlib.import_module(module), name).load(folder))


def why_chosen(folder: str | Path) -> str:
    """Return why the student in `folder` was chosen among several; empty where there was no choice.

    Raises
    ------
    StudentError
        As `load` does.
    """
    return str(read_header(Path(folder)).settings.get("verdict", {}).get("reason", ""))
