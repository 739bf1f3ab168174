import errno
import json
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from llm_al.errors import StorageFullError, StoreError
from llm_al.store import Artefacts, write_atomically


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def artefacts(tmp_path: Path, warnings: list[str]) -> Artefacts:
    return Artefacts(tmp_path / "cache", warn=warnings.append)


def fill_the_disk(file: BinaryIO) -> None:
    """Write a little, then get the system's own error, as from a full disk."""
    file.write(b"the first half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_array_comes_back_as_a_read_only_map(artefacts: Artefacts, warnings: list[str]) -> None:
    array = np.arange(12, dtype=np.float16).reshape(4, 3)
    path = artefacts.save_array("embeddings", "abc", array)
    assert path == artefacts.folder / "embeddings" / "abc.npy"
    loaded = artefacts.load_array("embeddings", "abc", n_rows=4)
    assert isinstance(loaded, np.memmap)
    assert (loaded.dtype, loaded.flags.writeable) == (np.float16, False)
    np.testing.assert_array_equal(loaded, array)
    assert warnings == []


def test_json_comes_back_equal(artefacts: Artefacts) -> None:
    value = {"é": [1, 2.5, None, {"x": True}]}
    artefacts.save_json("facts", "abc", value)
    assert artefacts.load_json("facts", "abc") == value


def test_what_is_absent_is_none_without_a_warning(artefacts: Artefacts, warnings: list[str]) -> None:
    assert artefacts.load_array("embeddings", "abc") is None
    assert artefacts.load_json("embeddings", "abc") is None
    assert warnings == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "no checksum", "garbage checksum"])
def test_a_corrupt_file_is_none_with_a_warning_that_names_it(
    artefacts: Artefacts, warnings: list[str], damage: str
) -> None:
    path = artefacts.save_array("embeddings", "abc", np.zeros((50, 8), np.float32))
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x10
    checksum = path.with_name("abc.npy.blake2b")
    damages = {
        "flip": lambda: path.write_bytes(data),
        "truncate": lambda: path.write_bytes(path.read_bytes()[:-100]),
        "empty": lambda: path.write_bytes(b""),
        "no checksum": checksum.unlink,
        "garbage checksum": lambda: checksum.write_bytes(b"\xff\xfe"),
    }
    damages[damage]()
    assert artefacts.load_array("embeddings", "abc") is None
    assert warnings == [f"{path} is corrupt (its checksum does not match); it will be made again"]
    artefacts.save_array("embeddings", "abc", np.ones((50, 8), np.float32))
    assert artefacts.load_array("embeddings", "abc") is not None


def test_an_array_of_another_length_is_made_again(artefacts: Artefacts, warnings: list[str]) -> None:
    artefacts.save_array("proba", "abc", np.zeros((3, 2)))
    assert artefacts.load_array("proba", "abc", n_rows=4) is None
    assert "has shape (3, 2), expected 4 rows" in warnings[0]


def test_arrays_without_rows_are_kept_too(artefacts: Artefacts) -> None:
    artefacts.save_array("proba", "abc", np.zeros((0, 5)))
    loaded = artefacts.load_array("proba", "abc", n_rows=0)
    assert loaded is not None
    assert loaded.shape == (0, 5)


@pytest.mark.parametrize(("kind", "fingerprint"), [("", "a"), ("a", ".."), ("../a", "b"), ("a", "b/c"), ("a\\b", "c")])
def test_names_that_lead_out_of_the_folder_are_refused(artefacts: Artefacts, kind: str, fingerprint: str) -> None:
    with pytest.raises(StoreError, match="is not a plain file name"):
        artefacts.path(kind, fingerprint, ".npy")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text("old")
    with pytest.raises(StorageFullError, match=f"no space left in {tmp_path}; nothing half-written was kept") as caught:
        write_atomically(path, fill_the_disk)
    assert caught.value.errno == errno.ENOSPC
    assert "run the same command again" in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_the_error_of_a_really_full_device_is_translated(tmp_path: Path) -> None:
    def write(_file: BinaryIO) -> None:
        with Path("/dev/full").open("wb") as full:
            full.write(b"x")

    with pytest.raises(StorageFullError):
        write_atomically(tmp_path / "x", write)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_and_leave_nothing(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyError("model")

    with pytest.raises(KeyError):
        write_atomically(tmp_path / "sub" / "x", fail)
    assert list((tmp_path / "sub").iterdir()) == []


def test_leftovers_of_killed_processes_are_removed(artefacts: Artefacts) -> None:
    path = artefacts.save_json("facts", "abc", 1)
    (path.parent / ".abc.json.k2j3.part").write_text("half")
    assert artefacts.remove_leftovers() == 1
    assert artefacts.remove_leftovers() == 0
    assert artefacts.load_json("facts", "abc") == 1


def test_a_file_written_whole_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for value in (1, 2):
        write_atomically(path, lambda file, value=value: file.write(json.dumps(value).encode()))
    assert json.loads(path.read_text()) == 2
