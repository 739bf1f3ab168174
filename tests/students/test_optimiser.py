import torch
from torch import nn
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

from llm_al.students._optimiser import depths, make_optimizer


def _bert() -> nn.Module:
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8)
    return BertModel(config)


def _rates(encoder: nn.Module, **settings: float) -> dict[int, tuple[float, float]]:
    chosen = {"encoder_lr": 1.0, "head_lr": 5.0, "layer_decay": 1.0, "weight_decay": 0.1} | settings
    optimizer = make_optimizer(encoder, nn.Linear(8, 2), **chosen)
    return {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}


def test_depth_counts_layers_from_the_top_and_embeddings_lie_below_all() -> None:
    found = depths(_bert())
    assert found["encoder.layer.2.output.dense.weight"] == 0
    assert found["encoder.layer.0.attention.self.query.bias"] == 2
    assert found["embeddings.word_embeddings.weight"] == 3
    assert found["pooler.dense.weight"] == 0


def test_depth_reads_other_names_of_layers() -> None:
    found = depths(DistilBertModel(DistilBertConfig(vocab_size=9, dim=8, n_layers=2, n_heads=2, hidden_dim=8)))
    assert found["transformer.layer.0.ffn.lin1.weight"] == 1
    assert set(depths(nn.Linear(2, 2)).values()) == {0}


def test_a_layer_learns_at_a_share_of_the_rate_above_it() -> None:
    encoder = _bert()
    rates = _rates(encoder, layer_decay=0.5)
    by_name = {name: rates[id(p)][0] for name, p in encoder.named_parameters()}
    assert by_name["encoder.layer.2.output.dense.weight"] == 1.0
    assert by_name["encoder.layer.1.output.dense.weight"] == 0.5
    assert by_name["encoder.layer.0.output.dense.weight"] == 0.25
    assert by_name["embeddings.word_embeddings.weight"] == 0.125


def test_encoder_and_head_have_rates_of_their_own_and_only_matrices_decay() -> None:
    encoder, head = nn.Linear(8, 8), nn.Linear(8, 2)
    optimizer = make_optimizer(encoder, head, encoder_lr=1.0, head_lr=5.0, layer_decay=1.0, weight_decay=0.1)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert found[id(encoder.weight)] == (1.0, 0.1)
    assert found[id(encoder.bias)] == (1.0, 0.0)
    assert found[id(head.weight)] == (5.0, 0.1)
    assert found[id(head.bias)] == (5.0, 0.0)


def test_frozen_parameters_are_left_out() -> None:
    encoder = _bert()
    encoder.requires_grad_(False)
    assert len(_rates(encoder)) == 2


def test_groups_are_few_so_that_the_fused_kernel_runs_seldom() -> None:
    optimizer = make_optimizer(_bert(), nn.Linear(8, 2), encoder_lr=1.0, head_lr=5.0, layer_decay=1.0, weight_decay=0.1)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert len(optimizer.param_groups) == 4
