"""What modules keep: attributes of every kind, state by PyTorch's names, and traces of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell import nn


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_variables()]


def ones(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


def test_an_attribute_may_become_a_module_or_parameter_later() -> None:
    module = nn.Identity()
    module.later = None
    module.later = nn.Linear(2, 3)
    assert names(module) == ["later.weight", "later.bias"]
    module.later = nn.Parameter(ones(2))
    assert names(module) == ["later"]
    assert module.later.shape == (2,)
    module.later = None
    assert names(module) == []
    assert module.later is None


def test_a_parameter_is_not_replaced_by_an_array() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear\.weight is a parameter.*assign an `nn\.Parameter"):
        layer.weight = ones(2, 2)


def test_a_buffer_takes_the_value_of_an_array() -> None:
    layer = nn.BatchNorm1d(2)
    layer.running_mean = ones(2)
    assert next(name for name, _ in layer.named_buffers()) == "running_mean"
    np.testing.assert_array_equal(layer.running_mean, ones(2))
    with pytest.raises(ValueError, match="is f32"):
        layer.running_mean = ones(3)


def test_buffers_that_are_not_persistent_are_no_state() -> None:
    module = nn.Identity()
    module.register_buffer("table", ones(2), persistent=False)
    module.register_buffer("kept", ones(2))
    assert names(module) == ["table", "kept"]
    assert list(module.state_dict()) == ["kept"]
    module.load_state_dict({"kept": ones(2) * 3})
    np.testing.assert_array_equal(module.table, ones(2))


class Tied(nn.Module):
    """An embedding and a head with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.tokens.weight


def test_tied_weights_have_every_name() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Module()
    theirs.tokens, theirs.head = torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5, bias=False)
    theirs.head.weight = theirs.tokens.weight
    ours = Tied()
    ours.load_state_dict(theirs.state_dict())
    assert ours.head.weight is ours.tokens.weight
    assert len(list(ours.parameters())) == 1
    state = {name: torch.tensor(np.asarray(v)) for name, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    ours.load_state_dict({"head.weight": ones(5, 3)})
    np.testing.assert_array_equal(ours.tokens.weight, ones(5, 3))


def test_nothing_is_loaded_from_a_state_that_does_not_fit() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    state = model.state_dict()
    state["0.weight"], state["1.weight"] = sw.asarray(ones(2, 2)), sw.asarray(ones(2, 3))
    with pytest.raises(ValueError, match=r"1\.weight is f32\[2, 2\], not f32\[2, 3\]"):
        model.load_state_dict(state)
    assert not (np.asarray(model[0].weight) == 1).any()


def test_compiled_functions_follow_what_is_replaced() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Identity())
    function = sw.jit(model, device="reference")
    model[0].weight = nn.Parameter(ones(2, 2))
    np.testing.assert_array_equal(function(ones(1, 2)), [[2, 2]])
    model[0].weight = nn.Parameter(2 * ones(2, 2))
    np.testing.assert_array_equal(function(ones(1, 2)), [[4, 4]])
    model[1] = nn.ReLU()
    np.testing.assert_array_equal(function(-ones(1, 2)), [[0, 0]])
    model.append(nn.Linear(2, 1, bias=False))
    assert function(ones(1, 2)).shape == (1, 1)
    model[2].weight.assign(ones(1, 2))
    np.testing.assert_array_equal(function(ones(1, 2)), [[8]])
    assert function.compiled == 4


def test_half_precision_keeps_ties_and_modes() -> None:
    model = Tied()
    model.tokens.weight.requires_grad = False
    function = sw.jit(lambda x: model.head(model.tokens(x)), device="reference")
    tokens = np.array([1, 2], np.int32)
    assert function(tokens).dtype is sw.float32
    assert model.half() is model
    assert model.head.weight is model.tokens.weight
    assert not model.head.weight.requires_grad
    assert function(tokens).dtype is sw.float16
    batch_norm = nn.BatchNorm1d(2).half()
    assert batch_norm.num_batches_tracked.dtype is sw.int32
    assert batch_norm.float().running_mean.dtype is sw.float32
    with pytest.raises(TypeError, match="parameters are floats, not i32"):
        model.astype("i32")


def test_dicts_and_lists() -> None:
    module = nn.ModuleDict({"a": nn.Linear(1, 1)})
    module["b/c"] = nn.ReLU()
    assert list(module) == ["a", "b/c"]
    assert "a" in module and "z" not in module and len(module) == 2
    assert names(module) == ["a.weight", "a.bias"]
    assert [name for name, _ in module.named_children()] == ["a", "b/c"]

    scales = nn.ParameterList([ones(2), nn.Parameter(ones(3))])
    assert names(scales) == ["0", "1"]
    assert [scale.shape for scale in scales] == [(2,), (3,)] and scales[-1].shape == (3,)

    named = nn.Sequential({"first": nn.Linear(1, 2), "second": nn.ReLU()})
    assert named(ones(1, 1)).shape == (1, 2)
    assert named.first is named[0] and named[:1] == [named.first]
    assert named.get_submodule("first") is named.first
    with pytest.raises(AttributeError, match="no module 'third'"):
        named.get_submodule("third")
    seen: list[nn.Module] = []
    named.apply(seen.append)
    assert seen == [named.first, named.second, named]
    with pytest.raises(TypeError, match="is no Module"):
        module["x"] = 3  # type: ignore[assignment]
