"""Named conversions: what they need, and what they leave alone."""

import pytest
import torch

from patchlens.backbones.mapping import mapped
from patchlens.backbones.rules import joined_qkv, leading_axes, masked_key_bias
from patchlens.errors import DataError
from patchlens.settings.models import Mapping

ONES = torch.ones(6)


def test_a_rule_that_misses_a_name_says_which() -> None:
    content = {"blocks.0.attn.qkv.bias": ONES}
    name = "blocks.0.attn.qkv.bias_mask"
    message = f"rule 'masked_key_bias' needs '{name}', which the file does not contain"
    with pytest.raises(DataError, match=message):
        mapped(content, Mapping(rules=["masked_key_bias"]), "file.pth")


def test_a_mask_of_zeros_leaves_no_bias() -> None:
    found = masked_key_bias({"qkv.bias": ONES * 3, "qkv.bias_mask": ONES * 0, "x": ONES})
    assert sorted(found) == ["q_bias", "v_bias", "x"]
    assert found["q_bias"].tolist() == found["v_bias"].tolist() == [0.0, 0.0]


def test_a_mask_that_hides_a_value_that_is_no_number_hides_it() -> None:
    bias = torch.tensor([1.0, 2.0, float("nan"), 4.0, 5.0, 6.0])
    mask = torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    found = masked_key_bias({"qkv.bias": bias, "qkv.bias_mask": mask})
    assert found["q_bias"].tolist() == [1.0, 2.0]
    assert found["v_bias"].tolist() == [5.0, 6.0]


def test_a_model_without_biases_stays_as_it_is() -> None:
    assert masked_key_bias({"qkv.weight": ONES}) == {"qkv.weight": ONES}


def test_leading_axes_are_those_of_timm() -> None:
    found = leading_axes({"cls_token": ONES, "pos_embed": torch.ones(5, 6), "x": ONES})
    assert found["cls_token"].shape == (1, 1, 6)
    assert found["pos_embed"].shape == (1, 5, 6)
    assert found["x"] is ONES


def test_positions_without_a_class_token_get_their_axis_too() -> None:
    assert leading_axes({"pos_embed": torch.ones(5, 6)})["pos_embed"].shape == (1, 5, 6)


def test_q_k_and_v_are_joined_in_this_order_and_none_may_lack() -> None:
    parts = {f"blocks.3.attn.{p}_proj.weight": torch.full((1, 2), i) for i, p in enumerate("qkv")}
    found = joined_qkv(parts | {"x": ONES})
    assert sorted(found) == ["blocks.3.attn.qkv.weight", "x"]
    assert found["blocks.3.attn.qkv.weight"].tolist() == [[0, 0], [1, 1], [2, 2]]
    del parts["blocks.3.attn.k_proj.weight"]
    with pytest.raises(
        DataError, match=r"rule 'joined_qkv' needs 'blocks\.3\.attn\.k_proj\.weight'"
    ):
        mapped(parts, Mapping(rules=["joined_qkv"]), "file.pth")


@pytest.mark.parametrize("parts", ["qkv", "qv"])
def test_biases_are_joined_like_weights_or_kept_apart_where_k_has_none(parts: str) -> None:
    biases = {
        f"blocks.0.attn.{p}_proj.bias": torch.full((2,), float("qkv".index(p))) for p in parts
    }
    found = {name: value.tolist() for name, value in joined_qkv(biases).items()}
    if parts == "qkv":
        assert found == {"blocks.0.attn.qkv.bias": [0, 0, 1, 1, 2, 2]}
    else:
        assert found == {"blocks.0.attn.q_bias": [0, 0], "blocks.0.attn.v_bias": [2, 2]}
