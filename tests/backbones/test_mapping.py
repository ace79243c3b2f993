"""From the names of a file to those of the architecture: every step, and what each refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor

from patchlens.backbones.mapping import mapped
from patchlens.errors import DataError, SettingsError
from patchlens.settings.models import Mapping

A, B, C = (torch.full((2,), float(i)) for i in range(3))


def names(content: dict[str, Any], **settings: Any) -> dict[str, float]:
    """Names and values after a mapping."""
    found = mapped(content, Mapping(**settings), "file.pth")
    return {name: float(tensor[0]) for name, tensor in found.items()}


def refused(content: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        names(content, **settings)
    return str(caught.value)


def test_a_flat_file_is_taken_as_it_is() -> None:
    assert names({"a": A, "b": B}) == {"a": 0, "b": 1}


def test_the_first_key_that_is_there_is_taken() -> None:
    content = {"second": {"a": B}, "third": {"a": C}, "epoch": 3}
    assert names(content, key=["first", "second", "third"]) == {"a": 1}


def test_a_dot_accepts_a_flat_file_where_no_key_is_there() -> None:
    assert names({"a": A}, key=["state_dict", "."]) == {"a": 0}
    assert names({"state_dict": {"a": B}}, key=["state_dict", "."]) == {"a": 1}


def test_no_key_is_an_error_that_lists_what_is_there() -> None:
    message = refused({"model": {"a": A}, "epoch": 3}, key=["teacher", "student"])
    assert message == (
        "file.pth: no entry 'teacher' or 'student'. The file contains model, epoch; its tensors "
        "are in mapping.key: ['model']"
    )


def test_a_key_that_holds_no_names_is_an_error() -> None:
    assert refused({"model": A}, key=["model"]) == (
        "file.pth: 'model' is a Tensor, not named tensors. The file contains model"
    )


@pytest.mark.parametrize("key", [[], ["model"], ["state"], ["teacher"]])
def test_a_wrong_nesting_names_the_keys_that_hold_tensors(key: list[str]) -> None:
    content = {
        "state": {"student": {"a": A, "b": B}, "teacher": {"a": A, "b": B, "c": C}, "step": 3},
        "optimizer": {"state": {0: {"m": A}, 1: {"m": A}}, "lr": 0.1},
    }
    message = refused(content, key=key)
    assert message.endswith(
        "; its tensors are in mapping.key: ['state.teacher'] or ['state.student'] or "
        "['optimizer.state.0']"
    )
    assert names(content, key=["state.teacher"]) == {"a": 0, "b": 1, "c": 2}


def test_an_entry_whose_name_has_dots_is_taken_before_a_path() -> None:
    assert names({"a.b": {"x": A}, "a": {"b": {"x": B}}}, key=["a.b"]) == {"x": 0}


def test_names_without_the_prefix_are_left_out_and_it_is_cut_off() -> None:
    content = {"module.base.a": A, "module.momentum.a": B, "base.c": C}
    beside = ["module.momentum.*", "base.*"]
    assert names(content, prefix=["module.base."], beside=beside) == {"a": 0}


def test_a_name_beside_the_prefix_that_nothing_explains_stays_and_is_found_by_the_load() -> None:
    content = {"module.base.a": A, "module.momentum.a": B, "base.c": C}
    found = names(content, prefix=["module.base."], beside=["base.*"])
    assert found == {"a": 0, "module.momentum.a": 1}


def test_a_name_beside_the_prefix_never_takes_the_place_of_one_behind_it() -> None:
    content = {"module.base.a": A, "module.base.b": B, "a": C}
    message = refused(content, prefix=["module.base."])
    assert message == "file.pth: a exists both with and without the prefix 'module.base.'"
    assert names(content, prefix=["module.base."], beside=["a"]) == {"a": 0, "b": 1}


def test_the_first_prefix_that_any_name_has_is_taken() -> None:
    content = {"backbone.a": A, "module.a": B}
    found = names(content, prefix=["encoder.", "module.", "backbone."], beside=["backbone.*"])
    assert found == {"a": 1}


def test_no_prefix_found_is_an_error() -> None:
    message = refused({"a": A}, prefix=["module.", "backbone."])
    assert message == "file.pth: no name starts with 'module.' or 'backbone.'; the file contains a"


def test_dropped_names_go_and_may_be_no_tensors() -> None:
    content = {"a": A, "head.weight": B, "head.steps": 7, "mask": C}
    assert names(content, drop=["head.*"], optional_drop=["mask", "fc.*"]) == {"a": 0}


def test_a_drop_that_matches_nothing_is_an_error() -> None:
    message = refused({"a": A}, drop=["head.*"])
    assert message == "file.pth: drop pattern 'head.*' matches no name; correct or remove it"


def test_renaming_is_of_whole_names_one_pattern_after_the_other() -> None:
    content = {"layers.0.ln_1.weight": A, "layers.11.ln_1.weight": B, "ln_1": C, "last.ln_1": A}
    pairs = [[r"layers\.(\d+)\.ln_1\.(\w+)", r"blocks.\1.norm1.\2"], ["ln_1", "norm"]]
    expected = {"blocks.0.norm1.weight": 0, "blocks.11.norm1.weight": 1, "norm": 2, "last.ln_1": 0}
    assert names(content, rename=pairs) == expected


def test_a_rename_that_matches_nothing_is_an_error() -> None:
    message = refused({"a": A}, rename=[["b", "c"]])
    assert message == "file.pth: rename pattern 'b' matches no name; correct or remove it"


@pytest.mark.parametrize("pair", [["(a", "b"], ["a", r"\1"]])
def test_a_rename_that_is_no_regular_expression_is_an_error(pair: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"^file\.pth: rename .* is not a regular expression"):
        names({"a": A}, rename=[pair])


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_two_names_that_become_one_are_an_error(order: tuple[str, str]) -> None:
    content = dict.fromkeys(order, A)
    message = refused(content, rename=[["a", "b"]])
    assert message == "file.pth: rename 'a' maps two names to 'b'"


def test_a_stranger_keeps_its_name_for_the_strict_load() -> None:
    assert names({"m.a": A, "m.stranger": B}, prefix=["m."]) == {"a": 0, "stranger": 1}


def test_what_is_no_tensor_is_an_error_that_names_it() -> None:
    message = refused({"a": A, "epoch": 3, "args": {}})
    assert message == (
        "file.pth: no tensors under epoch, args; set key, prefix or drop. "
        "The file contains a, epoch, args"
    )


def test_a_long_list_of_names_is_cut() -> None:
    message = refused({f"n{i:02}": i for i in range(30)})
    assert message.endswith(
        "The file contains " + ", ".join(f"n{i:02}" for i in range(12)) + " and 18 more"
    )


def test_nothing_left_is_an_error() -> None:
    message = refused({"head.a": A}, drop=["head.*"])
    assert message.startswith("file.pth: no tensors left to load; set key, prefix or drop")


def test_an_unknown_rule_is_an_error_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'class_position_into_token'"):
        names({"a": A}, rules=["class_position_in_token"])


def test_a_rule_that_misses_a_name_is_an_error() -> None:
    message = refused({"pos_embed": A}, rules=["class_position_into_token"])
    assert message == (
        "file.pth: rule 'class_position_into_token' needs 'cls_token', which the file does not "
        "contain"
    )


def test_the_class_position_moves_into_the_token() -> None:
    cls, position = torch.tensor([[[1.0, 2]]]), torch.arange(10.0).view(1, 5, 2)
    content = {"cls_token": cls, "pos_embed": position, "other": A}
    found = mapped(content, Mapping(rules=["class_position_into_token"]), "file.pth")
    assert torch.equal(found["cls_token"], torch.tensor([[[1.0, 3]]]))
    assert torch.equal(found["pos_embed"], torch.arange(2.0, 10).view(1, 4, 2))
    assert found["other"] is A


def test_the_tensors_of_the_file_are_left_as_they_were() -> None:
    content: dict[str, Tensor] = {"cls_token": A.view(1, 1, 2), "pos_embed": B.view(1, 1, 2)}
    mapped(content, Mapping(rules=["class_position_into_token"]), "file.pth")
    assert list(content) == ["cls_token", "pos_embed"]
    assert torch.equal(content["cls_token"], A.view(1, 1, 2))
