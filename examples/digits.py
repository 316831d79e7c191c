"""Trains a classifier of handwritten digits (scikit-learn's 1,797, a fifth of them held out).

python examples/digits.py [--device gpu|cpu|reference|NAME] [--epochs N] [--curve FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import stepwell as sw
from stepwell import nn

mpl.use("Agg")
BATCH = 64


def batches(x: np.ndarray, y: np.ndarray, epochs: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches of equal size, epoch after epoch."""
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            yield x[rows], y[rows]


def save_curve(losses: Sequence[float], path: Path) -> None:
    """A picture of the loss at every step."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(losses, linewidth=1)
    axes.set(xlabel="step", ylabel="training loss", yscale="log", title="Digits: cross-entropy")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> float:
    """Trains, reports, and returns the accuracy on the held-out digits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", help="gpu, cpu, reference, or part of an adapter's name")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--curve", type=Path, default=Path("digits_loss.png"))
    options = parser.parse_args(arguments)

    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        (images / 16).astype(np.float32),
        labels.astype(np.int32),
        test_size=0.2,
        stratify=labels,
        random_state=0,
    )
    sw.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    optimizer = sw.optim.AdamW(lr=3e-3)
    step = sw.train_step(model, nn.functional.cross_entropy, optimizer, device=options.device)

    started = time.perf_counter()
    executable = step.compile(x[:BATCH], y[:BATCH])
    executable.prepare()
    compile_time = time.perf_counter() - started

    total = options.epochs * (len(x) // BATCH)
    losses: list[sw.Array] = []
    started = time.perf_counter()
    with tqdm(batches(x, y, options.epochs), total=total, unit="step") as progress:
        for done, batch in enumerate(progress):
            losses.append(step(*batch))
            if done % 50 == 0:
                progress.set_postfix(loss=f"{losses[-1]:.3f}")
        curve = [float(loss) for loss in losses]
    step_time = (time.perf_counter() - started) / total

    model.eval()
    predict = sw.jit(lambda x: sw.argmax(model(x), axis=-1), device=options.device)
    accuracy = float((np.asarray(predict(x_test)) == y_test).mean())
    save_curve(curve, options.curve)

    print(f"device             {executable.device}")
    print(f"test accuracy      {accuracy:.2%} of {len(y_test)} held-out digits")
    print(f"compile time       {compile_time:.2f} s")
    if executable.on_device:
        print(f"kernels per step   {executable.program.dispatches}")
        print(f"planned memory     {executable.memory}")
    print(f"step time          {step_time * 1e3:.2f} ms")
    print(f"loss curve         {options.curve}")
    return accuracy


if __name__ == "__main__":
    main()
