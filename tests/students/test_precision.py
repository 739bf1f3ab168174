import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from llm_al.students._network import Network
from llm_al.students._precision import has_bf16, in_bf16, is_half, mark
from llm_al.students._prediction import predict_logits

CPU = torch.device("cpu")
IDS = [[1, 2, 3], [4, 5], [6, 7, 8, 9]]


def _network(precision: str) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
        network = Network(BertModel(config), 16, 3, scale=8.0, precision=precision).eval()
        torch.nn.init.normal_(network.head.weight)
    return network


def _logits(network: Network) -> np.ndarray:
    return predict_logits(network, IDS, pad_id=0, max_batch_tokens=64)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)],
)
def test_bf16_on_a_cpu_takes_instructions_for_it(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bf16(CPU) is expected
    assert is_half(CPU, "auto") is expected
    assert is_half(CPU, "bf16")
    assert not is_half(CPU, "fp32")


def test_bf16_is_off_where_torch_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_bf16(CPU)
    assert not has_bf16(torch.device("meta"))


def test_a_copy_in_bf16_leaves_the_weights_alone() -> None:
    encoder = torch.nn.Linear(2, 2)
    half = in_bf16(encoder)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in half.parameters())


def test_prediction_in_bf16_is_near_that_in_fp32() -> None:
    assert _logits(_network("bf16")) == pytest.approx(_logits(_network("fp32")), abs=0.2)


def test_the_copy_is_made_once_and_again_when_a_weight_changes() -> None:
    network = _network("bf16")
    before = _logits(network)
    kept = network._runs["prediction"][1]
    assert np.array_equal(_logits(network), before)
    assert network._runs["prediction"][1] is kept
    with torch.no_grad():
        network.encoder.embeddings.word_embeddings.weight.add_(torch.randn(20, 16))  # type: ignore[union-attr]
    assert not np.array_equal(_logits(network), before)
    assert network._runs["prediction"][1] is not kept
    network.forget_copies()
    assert not network._runs


def test_copies_are_no_part_of_what_is_saved() -> None:
    network = _network("bf16")
    names = set(network.state_dict())
    _logits(network)
    assert set(network.state_dict()) == names


def test_a_mark_changes_with_the_weights_only() -> None:
    layer = torch.nn.Linear(2, 2)
    first = mark(layer)
    layer(torch.ones(1, 2))
    assert mark(layer) == first
    layer.load_state_dict({name: tensor.clone() for name, tensor in layer.state_dict().items()})
    assert mark(layer) != first


def test_rows_without_padding_need_no_mask() -> None:
    network = _network("fp32")
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    masked = network.quick_logits(tokens, torch.ones_like(tokens))
    assert torch.allclose(network.quick_logits(tokens, None), masked, atol=1e-5)
