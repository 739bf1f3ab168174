import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from llm_al.embedders import _file, cached
from llm_al.embedders.cached import Cached, embed_to_file
from llm_al.embedders.hashing import HashEmbedder
from llm_al.errors import ConfigError, DataError, ShapeError, StorageFullError

TEXTS = [f"message {i} about tent {i % 7}" for i in range(25)]


class Counting(HashEmbedder):
    """Remembers what it was asked to encode."""

    def __init__(self, n_dimensions=8):
        super().__init__(n_dimensions)
        object.__setattr__(self, "seen", [])

    def encode(self, texts):
        self.seen.extend(texts)
        return super().encode(texts)


class Lazy(Sequence):
    """A sequence that never holds its texts."""

    def __init__(self, n):
        self.n, self.largest = n, 0

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if isinstance(index, slice):
            wanted = range(*index.indices(self.n))
            self.largest = max(self.largest, len(wanted))
            return [f"text {i}" for i in wanted]
        return f"text {index}"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(cached, "_CHUNK_ROWS", 10)


@pytest.fixture
def cache(tmp_path):
    return Cached(Counting(), tmp_path / "cache")


def names(cache):
    return sorted(path.name for path in cache.folder.glob("*"))


def flip_byte(path: Path, position: int):
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


class TestAFreshFile:
    def test_holds_what_the_embedder_says(self, cache):
        np.testing.assert_array_equal(cache.encode_pool(TEXTS), HashEmbedder(8).encode(TEXTS))

    def test_is_a_read_only_map_of_a_plain_npy_file(self, cache):
        found = cache.encode_pool(TEXTS)
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable
        np.testing.assert_array_equal(np.load(cache.path), found)

    def test_can_be_float16(self, tmp_path):
        found = Cached(HashEmbedder(8), tmp_path, "float16").encode_pool(TEXTS)
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, HashEmbedder(8).encode(TEXTS), atol=1e-3)

    def test_of_no_texts_is_empty(self, cache):
        assert cache.encode_pool([]).shape == (0, 8)
        assert cache.encode_pool(TEXTS).shape == (25, 8)

    def test_reports_its_progress(self, cache):
        seen = []
        cache.encode_pool(TEXTS, progress=lambda *args: seen.append(args))
        assert seen == [("embed", 0, 25), ("embed", 10, 25), ("embed", 20, 25), ("embed", 25, 25)]

    def test_can_come_from_chunks_of_any_size(self, cache):
        seen = []
        chunks = iter([TEXTS[:3], TEXTS[3:19], [], TEXTS[19:]])
        found = cache.encode_pool(chunks, progress=lambda *args: seen.append(args))
        np.testing.assert_array_equal(found, HashEmbedder(8).encode(TEXTS))
        assert seen[-1] == ("embed", 25, 0)

    def test_never_holds_more_than_a_chunk_of_a_lazy_sequence(self, cache):
        texts = Lazy(1000)
        assert cache.encode_pool(texts).shape == (1000, 8)
        assert texts.largest == 10

    def test_leaves_nothing_but_the_file_and_its_journal(self, cache):
        cache.encode_pool(TEXTS)
        assert names(cache) == [cache.path.name, cache.path.name + ".journal"]


class TestASecondCall:
    def test_computes_nothing(self, cache):
        first = np.array(cache.encode_pool(TEXTS))
        again = Cached(Counting(), cache.folder)
        np.testing.assert_array_equal(again.encode_pool(iter([TEXTS])), first)
        assert again.embedder.seen == []

    def test_computes_only_added_texts(self, cache):
        old = cache.encode_pool(TEXTS[:17])
        cache.embedder.seen.clear()
        new = cache.encode_pool(TEXTS)
        assert cache.embedder.seen == TEXTS[17:]
        np.testing.assert_array_equal(new, HashEmbedder(8).encode(TEXTS))
        # The map from before is still good.
        np.testing.assert_array_equal(old, new[:17])

    def test_computes_from_the_first_changed_text_on_and_says_so(self, cache):
        old = cache.encode_pool(TEXTS)
        cache.embedder.seen.clear()
        said = []
        changed = [*TEXTS[:14], "something else", *TEXTS[15:]]
        np.testing.assert_array_equal(cache.encode_pool(changed, warn=said.append), HashEmbedder(8).encode(changed))
        assert cache.embedder.seen == changed[10:]
        assert said == [f"embeddings at {cache.path}: the texts have changed; rows from 10 on are computed again"]
        np.testing.assert_array_equal(old, HashEmbedder(8).encode(TEXTS))

    def test_of_fewer_texts_gives_fewer_rows(self, cache):
        cache.encode_pool(TEXTS)
        assert cache.encode_pool(TEXTS[:10]).shape == (10, 8)
        assert cache.encode_pool(TEXTS[:4]).shape == (4, 8)

    def test_of_another_embedder_has_its_own_file(self, cache):
        cache.encode_pool(TEXTS)
        other = Cached(Counting(16), cache.folder)
        assert other.encode_pool(TEXTS).shape == (25, 16)
        assert cache.encode_pool(TEXTS).shape == (25, 8)

    def test_does_not_take_the_file_of_another_embedder_for_its_own(self, tmp_path):
        said = []
        embed_to_file(HashEmbedder(8), TEXTS, tmp_path / "e.npy")
        found = embed_to_file(HashEmbedder(16), TEXTS, tmp_path / "e.npy", warn=said.append)
        np.testing.assert_array_equal(found, HashEmbedder(16).encode(TEXTS))
        assert said[0].endswith("they were made by another embedder; rows from 0 on are computed again")


def cut_off(cache):
    os.truncate(cache.path, cache.path.stat().st_size - 30)


def damage_data(cache):
    flip_byte(cache.path, 128 + 15 * 32)


def damage_header(cache):
    flip_byte(cache.path, 60)


def empty(cache):
    cache.path.write_bytes(b"")


def replace_by_text(cache):
    cache.path.write_text("not an array")


def lose_data(cache):
    cache.path.unlink()


def lose_journal(cache):
    cache.path.with_name(cache.path.name + ".journal").unlink()


def damage_journal(cache):
    cache.path.with_name(cache.path.name + ".journal").write_bytes(b"\x00{")


def empty_journal(cache):
    cache.path.with_name(cache.path.name + ".journal").write_bytes(b"")


def grow(cache):
    with cache.path.open("ab") as file:
        file.write(b"rubbish")


DAMAGES = [
    (cut_off, "chunk 3 is damaged or cut off; rows from 20 on are computed again"),
    (damage_data, "chunk 2 is damaged or cut off; rows from 10 on are computed again"),
    (damage_header, "the header does not fit; rows from 25 on are computed again"),
    (empty, "chunk 1 is damaged or cut off; rows from 0 on are computed again"),
    (replace_by_text, "chunk 1 is damaged or cut off; rows from 0 on are computed again"),
    (lose_data, "the data file is missing; rows from 0 on are computed again"),
    (lose_journal, "the journal is missing; rows from 0 on are computed again"),
    (damage_journal, "the journal cannot be read; rows from 0 on are computed again"),
    (empty_journal, "the journal cannot be read; rows from 0 on are computed again"),
    (grow, None),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_a_damaged_file_is_mended_with_a_warning(cache, damage, message):
    cache.encode_pool(TEXTS)
    damage(cache)
    said = []
    np.testing.assert_array_equal(cache.encode_pool(TEXTS, warn=said.append), HashEmbedder(8).encode(TEXTS))
    assert [line.endswith(message) for line in said] == [True] if message else said == []
    assert names(cache) == [cache.path.name, cache.path.name + ".journal"]
    again = []
    cache.encode_pool(TEXTS, warn=again.append)
    assert again == []


KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from llm_al.embedders import cached
from llm_al.embedders.hashing import HashEmbedder
cached._CHUNK_ROWS = 10
class Killed(HashEmbedder):
    def encode(self, texts):
        if texts[0].startswith("message 20 "):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts)
texts = [f"message {i} about tent {i % 7}" for i in range(25)]
cached.Cached(Killed(8), Path(sys.argv[1])).encode_pool(texts)
"""


def test_a_killed_run_continues_where_it_was(cache):
    root = str(Path(cached.__file__).parents[2])
    code = subprocess.run(
        [sys.executable, "-c", KILLED, str(cache.folder)], env={**os.environ, "PYTHONPATH": root}, check=False
    ).returncode
    assert code == -signal.SIGKILL
    assert not cache.path.exists()
    said = []
    np.testing.assert_array_equal(cache.encode_pool(TEXTS, warn=said.append), HashEmbedder(8).encode(TEXTS))
    assert cache.embedder.seen == TEXTS[20:]
    assert said == []


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("n_calls", range(12))
@pytest.mark.parametrize("n_before", [0, 13], ids=["fresh", "append"])
def test_wherever_a_run_is_killed_the_next_one_is_right(cache, monkeypatch, n_calls, n_before):
    cache.encode_pool(TEXTS[:n_before])
    calls = iter(range(100))
    flush = _file._flush

    def die(file):
        if next(calls) == n_calls:
            # What a kill loses: half of what was written last.
            file.flush()
            file.truncate(max(0, file.tell() - 5))
            raise Killed
        flush(file)

    with monkeypatch.context() as patch:
        patch.setattr(_file, "_flush", die)
        try:
            cache.encode_pool(TEXTS)
        except Killed:
            assert not (cache.path.exists() and len(np.load(cache.path)) not in (0, n_before))
    np.testing.assert_array_equal(cache.encode_pool(TEXTS), HashEmbedder(8).encode(TEXTS))
    assert names(cache) == [cache.path.name, cache.path.name + ".journal"]


class TestAFullDisk:
    @pytest.fixture
    def limit(self, monkeypatch, cache):
        """Give the folder a quota, in bytes; None lifts it."""
        flush = _file._flush

        def set_limit(n_bytes):
            def fail(file):
                flush(file)
                if sum(path.stat().st_size for path in cache.folder.iterdir()) > n_bytes:
                    raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(_file, "_flush", flush if n_bytes is None else fail)

        return set_limit

    # A header is 128 bytes, a row 32, a line of the journal about 70.
    @pytest.mark.parametrize("n_bytes", [0, 128, 300, 600, 700, 900, 1000, 1100])
    def test_leaves_nothing_of_a_fresh_file(self, cache, limit, n_bytes):
        limit(n_bytes)
        with pytest.raises(StorageFullError, match=r"no space left for embeddings at .*free some space") as caught:
            cache.encode_pool(TEXTS)
        assert caught.value.errno == errno.ENOSPC
        assert names(cache) == []

    @pytest.mark.parametrize("n_bytes", [0, 10, 250, 350, 450])
    def test_leaves_the_file_that_was_there(self, cache, limit, n_bytes):
        cache.encode_pool(TEXTS[:13])
        before = {name: (cache.folder / name).read_bytes() for name in names(cache)}
        limit(sum(map(len, before.values())) + n_bytes)
        with pytest.raises(StorageFullError):
            cache.encode_pool(TEXTS)
        limit(None)
        assert {name: (cache.folder / name).read_bytes() for name in names(cache)} == before
        np.testing.assert_array_equal(cache.encode_pool(TEXTS), HashEmbedder(8).encode(TEXTS))

    def test_is_noticed_before_the_work_begins(self, cache, monkeypatch):
        monkeypatch.setattr(cached.shutil, "disk_usage", lambda _: SimpleNamespace(free=799))
        with pytest.raises(StorageFullError):
            cache.encode_pool(TEXTS)
        assert cache.embedder.seen == []
        assert names(cache) == []

    def test_is_not_blamed_for_other_failures(self, cache, monkeypatch):
        def refuse(_):
            raise PermissionError(errno.EACCES, "denied")

        monkeypatch.setattr(_file, "_flush", refuse)
        with pytest.raises(PermissionError, match="denied"):
            cache.encode_pool(TEXTS)


class Wrong(HashEmbedder):
    def encode(self, texts):
        return np.full((len(texts), 8), np.nan, dtype=np.float32)


def test_vectors_that_are_not_numbers_are_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"the embedder gave shape \(10, 8\), NaN: True; expected \(10, 8\)"):
        Cached(Wrong(8), tmp_path).encode_pool(TEXTS)


def test_texts_one_by_one_are_refused(cache):
    with pytest.raises(DataError, match="texts came one by one; expected a sequence of texts"):
        cache.encode_pool(iter(TEXTS))


def test_an_unknown_number_type_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="dtype is 'int8'; choose from: float16, float32"):
        Cached(HashEmbedder(8), tmp_path, "int8")


def test_a_fingerprint_with_odd_characters_is_a_file_name(tmp_path):
    class Odd(HashEmbedder):
        fingerprint = "hub/name: v1"

    assert Cached(Odd(8), tmp_path).path.name == "pool-hub_name__v1-float32.npy"
