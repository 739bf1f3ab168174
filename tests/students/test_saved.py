import json
import os
from pathlib import Path

import pytest

from llm_al.errors import StorageFullError, StudentError
from llm_al.students import load
from llm_al.students._folder import HEADER, Header, new_folder, read_header, write_header


def _save(folder: Path, kind: str = "head") -> None:
    with new_folder(folder) as fresh:
        write_header(fresh, Header(kind, ("a", "b"), 1.0, {}))


def test_a_failed_save_leaves_the_old_student_and_no_traces(tmp_path: Path) -> None:
    _save(tmp_path / "student")
    before = (tmp_path / "student" / HEADER).read_bytes()
    with pytest.raises(StorageFullError, match="no space left to save the student"), new_folder(tmp_path / "student"):
        raise OSError(28, "No space left on device")
    assert (tmp_path / "student" / HEADER).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_an_interruption_between_the_renames_puts_the_old_student_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path / "student")
    rename = os.rename

    def interrupted(source: Path, target: Path) -> None:
        if source.name.endswith(".new"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _save(tmp_path / "student", kind="setfit")
    assert read_header(tmp_path / "student").kind == "head"
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(StudentError, match="holds no student; it is left alone"):
        _save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    _save(tmp_path / "student")
    assert (tmp_path / "student" / HEADER).is_file()


def test_a_folder_without_a_student_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StudentError, match=r"holds no student\.json; give the folder that a student was saved to"):
        load(tmp_path)


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    _save(tmp_path / "student", kind="oracle")
    with pytest.raises(StudentError, match=r"of kind 'oracle'; this version reads: auto, blend, head, .*transformer"):
        load(tmp_path / "student")


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}'])
def test_a_damaged_header_is_a_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / HEADER).write_text(content, encoding="utf-8")
    with pytest.raises(StudentError, match=r"student\.json is damaged"):
        load(tmp_path)


def test_a_later_format_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / HEADER).write_text(json.dumps({"format": 9}), encoding="utf-8")
    with pytest.raises(StudentError, match="has format 9; this version reads format 1"):
        load(tmp_path)


def test_missing_arrays_are_a_clear_error(tmp_path: Path) -> None:
    _save(tmp_path / "student")
    with pytest.raises(StudentError, match=r"model\.safetensors is missing or damaged"):
        load(tmp_path / "student")
