"""From a trained student to an ONNX graph, with int8 weights if wanted."""

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from llm_al.errors import MissingExtraError, StudentError
from llm_al.protocols import FittedStudent
from llm_al.students._folder import Header, new_folder, write_header
from llm_al.students._network import Network
from llm_al.students._pooling import MEAN, n_parts
from llm_al.students.head import FittedHead
from llm_al.students.onnx_student import KIND, MODEL, TOKENIZER, FittedOnnx, OnnxSettings
from llm_al.students.transformer import FittedTransformer
from llm_al.views import FIRST

__all__ = ["check_export", "export"]

_OPSET = 17
_INPUTS, _OUTPUT = ("input_ids", "attention_mask"), "logits"
# Protobuf holds no message above 2 GB; larger weights lie in a file beside the graph.
_LARGE_BYTES = 1_800_000_000


class _Absent(nn.Module):
    """Log-probabilities of a linear head: classes without examples share a fixed probability."""

    is_present: Tensor

    def __init__(self, is_present: Tensor, share: float) -> None:
        super().__init__()
        self.register_buffer("is_present", is_present)
        self.share = share

    def forward(self, raw: Tensor) -> Tensor:
        n_absent = int((~self.is_present).sum())
        lowest = torch.finfo(raw.dtype).min
        total = raw.masked_fill(~self.is_present, lowest).logsumexp(dim=-1, keepdim=True)
        present = (raw - total + float(torch.log1p(torch.tensor(-self.share)))).clamp(min=-50.0)
        return present.masked_fill(~self.is_present, float(torch.log(torch.tensor(self.share / n_absent))))


class _Graph(nn.Module):
    """Calibrated logits from token ids: encoder, pooling, unit length, scale, head and temperature."""

    def __init__(self, network: nn.Module, tail: nn.Module | None, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.tail = tail
        self.temperature = temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.network(input_ids, attention_mask)
        return (logits if self.tail is None else self.tail(logits)) / self.temperature


@dataclass(frozen=True)
class _Source:
    """What of a student goes into the folder."""

    graph: _Graph
    tokenizer: Any
    max_tokens: int


def check_export() -> None:
    """Refuse an export that could not be finished, before anything is trained.

    Raises
    ------
    MissingExtraError
        If the packages for it are not installed.
    """
    try:
        with _quiet():
            import onnx  # noqa: F401
            import onnxruntime.quantization  # noqa: F401
    except ImportError as exc:
        raise MissingExtraError(
            'the ONNX export needs extra packages; install them with: pip install "llm-al[onnx]"'
        ) from exc


def export(student: FittedStudent, folder: Path, settings: OnnxSettings | None = None) -> FittedOnnx:
    """Write a student as an ONNX graph with its tokeniser beside it, and read it back.

    With int8, weights of matrix products and of the token embeddings are quantised by channel beforehand, and
    activations by batch when they come up [1]_. The head stays in float32: it is small, and decides.

    Parameters
    ----------
    student : FittedTransformer or FittedHead
        A head brings its encoder along, which then needs mean pooling.
    folder : Path
        Replaced when it holds a student; complete or untouched afterwards.
    settings : OnnxSettings, optional
        `max_tokens` is that of the student.

    Raises
    ------
    MissingExtraError
        If the packages for it are not installed.
    StudentError
        If the student is of another kind, or has parts that the graph cannot hold.

    References
    ----------
    .. [1] Zafrir, Boudoukh, Izsak & Wasserblat (2019). Q8BERT: quantized 8bit BERT. EMC2 at NeurIPS 2019.
    """
    check_export()
    source, wanted = _source(student), settings or OnnxSettings()
    told = OnnxSettings(**{**wanted.__dict__, "max_tokens": source.max_tokens, "pad_id": _pad_id(source.tokenizer)})
    with new_folder(folder) as fresh:
        source.tokenizer.save_pretrained(fresh)
        if not (fresh / TOKENIZER).is_file():
            raise StudentError(
                f"the tokeniser {type(source.tokenizer).__name__} cannot be written as {TOKENIZER}; "
                "distil into an encoder with a fast tokeniser"
            )
        _write_graph(source, fresh / MODEL, is_int8=told.is_int8)
        write_header(fresh, Header(KIND, student.labels, 1.0, told.__dict__))
    return FittedOnnx.load(folder)


def _pad_id(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id or 0)


def _source(student: FittedStudent) -> _Source:
    if isinstance(student, FittedTransformer):
        trained = student.network
        network = _plain(trained.encoder, trained.head, trained.scale, pooling=trained.pooling, first=trained.first)
        return _Source(_Graph(network, None, student.temperature), student.tokenizer, student.max_tokens)
    if isinstance(student, FittedHead):
        return _source_of_head(student)
    raise StudentError(f"a student of type {type(student).__name__} cannot be exported; allowed: head, transformer")


def _source_of_head(student: FittedHead) -> _Source:
    part, sentence = student.parts[0], student.encoder
    linear = part.linear
    if part.recall is not None:
        raise StudentError("a head that listens to its neighbours cannot be exported; train it with n_neighbours 0")
    if student.view != FIRST or len(student.parts) > 1:
        raise StudentError(
            "a head on other than its encoder's own vectors cannot be exported; train it with layers false"
        )
    encoder: Any = _mean_encoder(sentence)
    c, d = linear.coef.shape
    head = nn.Linear(d, c)
    head.load_state_dict({"weight": torch.from_numpy(linear.coef), "bias": torch.from_numpy(linear.intercept)})
    is_present = torch.from_numpy(linear.is_present)
    tail = None if bool(is_present.all()) else _Absent(is_present, linear.absent_share)
    max_tokens = int(sentence.max_seq_length or student.student.max_tokens)
    return _Source(_Graph(_plain(encoder, head, 1.0), tail, part.temperature), sentence.tokenizer, max_tokens)


def _mean_encoder(sentence: SentenceTransformer) -> Any:
    """Return the encoder of a sentence encoder that does nothing but pool by the mean and normalise."""
    modules: list[Any] = list(sentence)
    names = [type(module).__name__ for module in modules]
    if names[:2] == ["Transformer", "Pooling"] and set(names[2:]) <= {"Normalize"}:
        pooling = modules[1]
        mode = getattr(pooling, "pooling_mode", None) or pooling.get_pooling_mode_str()
        if mode == "mean":
            return modules[0].auto_model
    raise StudentError(
        f"the sentence encoder consists of {', '.join(names)}; only an encoder with mean pooling can be exported; "
        "distil into a transformer"
    )


def _plain(encoder: Any, head: nn.Linear, scale: float, *, pooling: str = MEAN, first: int = 0) -> Network:
    """Return a network on the CPU in float32 that shares nothing with the student."""
    width = head.in_features // n_parts(pooling)
    network = Network(copy.deepcopy(encoder), width, head.out_features, scale, "fp32", pooling=pooling, first=first)
    network.head.load_state_dict(head.state_dict())
    return network.float().cpu()


def _write_graph(source: _Source, path: Path, *, is_int8: bool) -> None:
    if not is_int8:
        _trace(source, path)
        return
    with tempfile.TemporaryDirectory(prefix="llm_al-onnx-") as scratch:
        exact = Path(scratch) / MODEL
        _trace(source, exact)
        _quantise(exact, path)


def _trace(source: _Source, path: Path) -> None:
    # The tracer puts the mode back that it found, and dropout must stay off in the meantime too.
    graph = source.graph.eval()
    encoded = source.tokenizer(["one text", "another and longer text"], padding=True, return_tensors="pt")
    axes = {name: {0: "batch", 1: "tokens"} for name in _INPUTS}
    with _quiet(), torch.inference_mode(mode=False), torch.no_grad():
        torch.onnx.export(
            graph,
            tuple(encoded[name] for name in _INPUTS),
            str(path),
            input_names=list(_INPUTS),
            output_names=[_OUTPUT],
            dynamic_axes={**axes, _OUTPUT: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantise(exact: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    n_bytes = sum(part.stat().st_size for part in exact.parent.iterdir())
    with _quiet():
        quantize_dynamic(
            exact,
            path,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=n_bytes > _LARGE_BYTES,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what tracer and quantiser say to their own developers."""
    root = logging.getLogger()
    was_disabled, root.disabled = root.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.disabled = was_disabled
