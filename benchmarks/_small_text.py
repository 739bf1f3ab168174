"""small-text, the nearest peer, in the same protocol and on the same encoder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _curve import Run
from _data import Task
from numpy.typing import NDArray

from llm_al.types import Positions

VERSION = "1.4.1"
_INSTALL = f"pip install --no-deps small-text=={VERSION} dill"
# A fine-tuned transformer, as the library's own examples run it.
EPOCHS = 15
MAX_PAIRS = 1600
"""Pairs of one fit of SetFit: about a minute on one core."""
_LR = 1e-4
_BATCH_SIZE = 12
_TEST_BATCH = 64


@dataclass(frozen=True)
class Economy:
    """How the peers with a transformer save time in runs for accuracy; never used where time is compared.

    Parameters
    ----------
    threads : int or None
        Of the processor; None leaves them as they are.
    subpool : int or None
        Rows of the pool, drawn anew for each query, that are predicted and asked about.
    bf16 : bool
        Forward passes under bfloat16 autocast, with texts cut at the 99th percentile of their lengths.
    epochs, max_pairs : int
        Of the fine-tuned transformers, and of a fit of SetFit; fewer in a smoke run only.
    """

    threads: int | None = None
    subpool: int | None = None
    bf16: bool = False
    epochs: int = EPOCHS
    max_pairs: int = MAX_PAIRS

    def settings(self, *, pool_rows: int) -> dict[str, Any]:
        """Return what decides the result of a run; a sub-pool as large as the pool is none."""
        is_cut = self.subpool is not None and self.subpool < pool_rows
        return {"bf16": self.bf16, "threads": self.threads, "subpool": self.subpool if is_cut else None}


def require() -> None:
    """Stop with one line if small-text is not installed."""
    try:
        import small_text  # noqa: F401
    except ImportError:
        raise SystemExit(f"--peer small-text needs the package; install it with: {_INSTALL}") from None


def load_tokenizer(folder: str) -> Any:
    """Return the tokeniser of an encoder, with the method that small-text still calls."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # The library calls a method that transformers 5 has dropped for a plain call.
    type(tokenizer).encode_plus = lambda self, *args, **kwargs: self(*args, **kwargs)
    return tokenizer


def longest_text(tokenizer: Any, task: Task, economy: Economy) -> int:
    """Return the tokens of the longest text, or of the 99th percentile."""
    lengths = [len(ids) for ids in tokenizer(task.texts + task.test_texts)["input_ids"]]
    wanted = int(np.percentile(lengths, 99)) if economy.bf16 else max(lengths)
    return min(wanted, tokenizer.model_max_length)


def in_bf16(model: Any) -> Any:
    """Run the forward pass of a transformers model under bfloat16 autocast, with float32 results.

    Columns that are padding in the whole batch are left out, where no hidden states are asked for.
    """
    plain: Callable[..., Any] = model.forward

    def forward(tokens: Any, *, attention_mask: Any, **kwargs: Any) -> Any:
        if not kwargs.get("output_hidden_states"):
            longest = int(attention_mask.sum(dim=1).max())
            tokens, attention_mask = tokens[:, :longest], attention_mask[:, :longest]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = plain(tokens, attention_mask=attention_mask, **kwargs)
        output.logits = output.logits.float()
        if output.hidden_states is not None:
            output.hidden_states = tuple(states.float() for states in output.hidden_states)
        return output

    model.forward = forward
    return model


@dataclass
class _Factory:
    """Makes the library's transformer classifier, in bfloat16 where that is wanted."""

    folder: str
    n_classes: int
    economy: Economy

    def new(self) -> Any:
        import small_text as st

        is_bf16 = self.economy.bf16

        class Classifier(st.TransformerBasedClassification):  # type: ignore[misc]
            def initialize_transformer(self, cache_dir: str) -> None:
                super().initialize_transformer(cache_dir)
                self.model = in_bf16(self.model) if is_bf16 else self.model

        device = "cuda" if torch.cuda.is_available() else "cpu"
        options = {"lr": _LR, "mini_batch_size": _BATCH_SIZE, "device": device, "verbosity": 0}
        return Classifier(
            st.TransformerModelArguments(self.folder), self.n_classes, num_epochs=self.economy.epochs, **options
        )


def strategy_of(name: str, subpool: int | None) -> Any:
    """Return a query strategy of the library, on a random sub-pool if one is wanted."""
    import small_text as st

    made = st.ContrastiveActiveLearning(pbar=None) if name == "contrastive" else st.BreakingTies()
    return made if subpool is None else st.SubsamplingQueryStrategy(made, subsample_size=subpool)


class SmallText:
    """An active learner of small-text that is asked and answered like ours.

    The longest text of the task sets the length that the library pads to, so that neither text nor time is lost.
    """

    def __init__(self, task: Task, folder: str, run: Run, *, strategy: str, economy: Economy) -> None:
        import small_text as st

        self._task, self._run = task, run
        torch.manual_seed(run.seed)
        np.random.seed(run.seed)  # noqa: NPY002 - the library draws from the global state
        with run.timed("prepare"):
            self._tokenizer = load_tokenizer(folder)
            self._length = longest_text(self._tokenizer, task, economy)
            # Only rows that were answered are ever trained on; the library wants a label for each.
            pool = st.TransformersDataset.from_arrays(
                task.texts,
                task.gold.astype(int),
                self._tokenizer,
                target_labels=np.arange(len(task.labels)),
                max_length=self._length,
            )
        factory = _Factory(folder, len(task.labels), economy)
        self._learner = st.PoolBasedActiveLearner(factory, strategy_of(strategy, economy.subpool), pool)
        self._is_started = False

    def learn(self, rows: Positions) -> None:
        """Train on the labels so far and those of `rows`."""
        labels = self._task.gold[rows].astype(int)
        with self._run.timed("fit"):
            if self._is_started:
                self._learner.update(labels)
            else:
                self._learner.initialize_data(np.asarray(rows), labels)
        self._is_started = True

    def ask(self, k: int) -> Positions:
        """Return k rows whose labels the learner wants."""
        with self._run.timed("query"):
            rows: Positions = np.asarray(self._learner.query(num_samples=k))
        return rows

    def test(self) -> NDArray[np.intp]:
        """Return the class indices of the test split, in batches of like length, which the library lacks."""
        model = self._learner.classifier.model.eval()
        texts = self._task.test_texts
        order = np.argsort([len(text) for text in texts], kind="stable")
        predicted = np.zeros(len(texts), dtype=np.intp)
        with torch.inference_mode():
            for start in range(0, len(texts), _TEST_BATCH):
                rows = order[start : start + _TEST_BATCH]
                chosen = [texts[int(row)] for row in rows]
                batch = self._tokenizer(
                    chosen, padding=True, truncation=True, max_length=self._length, return_tensors="pt"
                ).to(model.device)
                logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
                predicted[rows] = logits.argmax(dim=1).cpu().numpy()
        return predicted
