"""small-text, the nearest peer, in the same protocol and on the same encoder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from _data import Task
from numpy.typing import NDArray

VERSION = "1.4.1"
_INSTALL = f"pip install --no-deps small-text=={VERSION} dill"
# Breaking ties with a fine-tuned transformer, as the library's own examples run it.
_SETTINGS = {"num_epochs": 15, "lr": 1e-4}
_BATCH_SIZE = 12


def require() -> None:
    """Stop with one line if small-text is not installed."""
    try:
        import small_text  # noqa: F401
    except ImportError:
        raise SystemExit(f"--peer small-text needs the package; install it with: {_INSTALL}") from None


def _tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # The library calls a method that transformers 5 has dropped for a plain call.
    type(tokenizer).encode_plus = lambda self, *args, **kwargs: self(*args, **kwargs)
    return tokenizer


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - start


class Peer:
    """An active learner of small-text that is asked and answered like ours.

    The longest text of the task sets the length that the library pads to, so that neither text nor time is lost.
    """

    def __init__(self, task: Task, folder: str, seed: int) -> None:
        import small_text as st

        self.seconds: dict[str, float] = {}
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the library draws from the global state
        with _timed(self.seconds, "prepare"):
            tokenizer = _tokenizer(folder)
            longest = max(len(ids) for ids in tokenizer(task.texts + task.test_texts)["input_ids"])
            labels = np.arange(len(task.labels))
            make = st.TransformersDataset.from_arrays
            options = {"target_labels": labels, "max_length": min(longest, tokenizer.model_max_length)}
            # Only rows that were answered are ever trained on; the library wants a label for each.
            self._pool = make(task.texts, task.gold.astype(int), tokenizer, **options)
            self._test = make(task.test_texts, task.test_gold.astype(int), tokenizer, **options)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        factory = st.TransformerBasedClassificationFactory(
            st.TransformerModelArguments(folder),
            len(task.labels),
            kwargs={**_SETTINGS, "mini_batch_size": _BATCH_SIZE, "device": device, "verbosity": 0},
        )
        self._learner = st.PoolBasedActiveLearner(factory, st.BreakingTies(), self._pool)
        self._task = task

    def start(self, rows: NDArray[np.intp]) -> None:
        """Train on the first labels."""
        with _timed(self.seconds, "fit"):
            self._learner.initialize_data(np.asarray(rows), self._task.gold[rows].astype(int))

    def grow(self, k: int) -> None:
        """Ask for k more labels and train on all."""
        with _timed(self.seconds, "query"):
            rows = self._learner.query(num_samples=k)
        with _timed(self.seconds, "fit"):
            self._learner.update(self._task.gold[rows].astype(int))

    def accuracy(self) -> float:
        """Return the accuracy on the test split."""
        with _timed(self.seconds, "test"):
            predicted = self._learner.classifier.predict(self._test)
        return float((np.asarray(predicted) == self._task.test_gold).mean())
