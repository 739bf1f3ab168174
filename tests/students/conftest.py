import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from llm_al.students._network import without_bars
from llm_al.students.transformer import FittedTransformer, Transformer
from llm_al.types import TrainingSet

ANIMALS = ["the cat purrs", "a dog barks", "my cat sleeps", "that dog runs", "one cat eats", "her dog jumps"]
MONEY = ["pay the bill", "a loan is due", "my bank called", "the fee was paid", "send the invoice", "a coin fell"]
LABELS = ("animals", "money")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT of two narrow layers with a vocabulary of letters and the words of the tests."""
    folder = tmp_path_factory.mktemp("tiny-encoder")
    words = sorted({word for text in ANIMALS + MONEY for word in text.split()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase] + [word for word in words if len(word) > 1]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(pieces),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
        with without_bars():
            BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def two_topics() -> TrainingSet:
    """Six texts about animals, six about money."""
    targets = np.repeat(np.eye(2), 6, axis=0)
    return TrainingSet(ANIMALS + MONEY, targets, np.ones(12))


def folder_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


FAST: dict[str, Any] = {
    "options": {"transformer": {"encoder_lr": 1e-3, "epochs": 2}},
    "n_folds": 2,
    "min_labels": 4,
    "min_labels_per_class": 1,
}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each fine-tuning was given, in turn."""
    sizes: list[int] = []
    fit = Transformer.fit

    def counting(self: Transformer, training: TrainingSet, **named: Any) -> FittedTransformer:
        sizes.append(len(training))
        return fit(self, training, **named)

    monkeypatch.setattr(Transformer, "fit", counting)
    return sizes


def useless_vectors(training: TrainingSet) -> TrainingSet:
    """Vectors that say nothing, so that a head is blind and a transformer, which reads the texts, is not."""
    noise = np.random.default_rng(0).normal(size=(len(training), 32)).astype(np.float32)
    return replace(training, embeddings=noise)


def perfect_vectors(training: TrainingSet) -> TrainingSet:
    return replace(training, embeddings=np.eye(2, 32, dtype=np.float32)[training.targets.argmax(axis=1)])
