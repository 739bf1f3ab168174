import copy

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from llm_al.students import _packed
from llm_al.students._packed import Packed, can_pack, pack
from llm_al.students._precision import in_bf16

CPU = torch.device("cpu")
needs_packing = pytest.mark.skipif(not can_pack(CPU), reason="this build of torch packs no weights")


@needs_packing
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_packed_layer_computes_what_the_plain_one_does(has_bias: bool) -> None:
    plain = nn.Linear(48, 24, bias=has_bias, dtype=torch.bfloat16)
    with torch.inference_mode():
        packed = Packed(plain)
        for shape in ((1, 48), (3, 5, 48), (2100, 48)):
            x = torch.randn(shape).to(torch.bfloat16)
            assert torch.allclose(packed(x).float(), plain(x).float(), atol=0.05)
    assert packed.weight.dtype == torch.bfloat16
    assert packed.weight.shape == (24, 48)


@needs_packing
def test_packing_reaches_every_plain_linear_layer_and_no_other() -> None:
    class Own(nn.Linear):
        pass

    half = pack(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), Own(4, 4))).to(torch.bfloat16))
    kinds = [type(module).__name__ for module in half.modules() if not isinstance(module, nn.Sequential)]
    assert kinds == ["Packed", "Packed", "Own"]


@needs_packing
def test_a_packed_encoder_applies_gelu_within_the_product() -> None:
    config = BertConfig(vocab_size=9, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    plain = in_bf16(BertModel(config))
    packed = pack(copy.deepcopy(plain))
    assert [m.activation for m in packed.modules() if isinstance(m, Packed)].count("gelu") == 1
    with torch.inference_mode():
        expected, found = (net(input_ids=torch.arange(9).view(1, 9)).last_hidden_state for net in (plain, packed))
    assert torch.allclose(found.float(), expected.float(), atol=0.05)


def test_a_torch_without_the_calls_packs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_packed, "_ops", object)
    assert not can_pack(CPU)
    assert not can_pack(torch.device("meta"))
