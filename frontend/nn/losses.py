"""Losses as modules, with PyTorch's names and parameters."""

from __future__ import annotations

from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.losses import Reduction
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn.module import Buffer, Module


class _Loss(Module):
    def __init__(self, reduction: Reduction = "mean"):
        super().__init__()
        self.reduction: Reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class _WeightedLoss(_Loss):
    def __init__(self, weight: ArrayLike | None = None, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)


class MSELoss(_Loss):
    """(x - y) ** 2."""

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.mse_loss(x, y, reduction=self.reduction)


class L1Loss(_Loss):
    """abs(x - y)."""

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.l1_loss(x, y, reduction=self.reduction)


class HuberLoss(_Loss):
    """Quadratic up to delta, linear beyond."""

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.huber_loss(x, y, delta=self.delta, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Quadratic below beta, linear beyond."""

    def __init__(self, reduction: Reduction = "mean", *, beta: float = 1.0):
        super().__init__(reduction)
        self.beta = beta

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.smooth_l1_loss(x, y, beta=self.beta, reduction=self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """logsumexp(logits) - logits[target]; classes are axis 1."""

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(weight, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, logits: Array, targets: Array) -> Array:
        return f.cross_entropy(
            logits, targets, self.weight, ignore_index=self.ignore_index,
            reduction=self.reduction, label_smoothing=self.label_smoothing,
        )  # fmt: skip


class NLLLoss(_WeightedLoss):
    """-logarithms[target]; classes are axis 1."""

    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
    ):
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, logarithms: Array, targets: Array) -> Array:
        return f.nll_loss(
            logarithms, targets, self.weight, ignore_index=self.ignore_index,
            reduction=self.reduction,
        )  # fmt: skip


class BCELoss(_WeightedLoss):
    """-(y log(x) + (1 - y) log(1 - x)), of probabilities."""

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.binary_cross_entropy(x, y, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """`BCELoss` of sigmoid(x)."""

    def __init__(
        self,
        weight: ArrayLike | None = None,
        reduction: Reduction = "mean",
        *,
        pos_weight: ArrayLike | None = None,
    ):
        super().__init__(weight, reduction)
        self.pos_weight = None if pos_weight is None else Buffer(pos_weight)

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.binary_cross_entropy_with_logits(
            x, y, weight=self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """y * (log(y) - x), of log-probabilities x."""

    def __init__(self, reduction: Reduction = "mean", *, log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.kl_div(x, y, log_target=self.log_target, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """exp(x) - y x, or x - y log(x + eps)."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.poisson_nll_loss(
            x, y, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """(log(var) + (x - y) ** 2 / var) / 2."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, x: Array, y: ArrayLike, var: ArrayLike) -> Array:
        return f.gaussian_nll_loss(
            x, y, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class _MarginLoss(_Loss):
    def __init__(self, margin: float, reduction: Reduction):
        super().__init__(reduction)
        self.margin = margin


class HingeEmbeddingLoss(_MarginLoss):
    """x where y is 1, max(0, margin - x) where it is -1."""

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(margin, reduction)

    def forward(self, x: Array, y: ArrayLike) -> Array:
        return f.hinge_embedding_loss(x, y, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_MarginLoss):
    """max(0, margin - y * (x - other))."""

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean"):
        super().__init__(margin, reduction)

    def forward(self, x: Array, other: ArrayLike, y: ArrayLike) -> Array:
        return f.margin_ranking_loss(x, other, y, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """1 - cosine where y is 1, max(0, cosine - margin) where it is -1."""

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean"):
        super().__init__(margin, reduction)

    def forward(self, x: Array, other: ArrayLike, y: ArrayLike) -> Array:
        return f.cosine_embedding_loss(x, other, y, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_MarginLoss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)."""

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: Reduction = "mean",
    ):
        super().__init__(margin, reduction)
        self.p, self.eps, self.swap = p, eps, swap

    def forward(self, anchor: Array, positive: ArrayLike, negative: ArrayLike) -> Array:
        return f.triplet_margin_loss(
            anchor, positive, negative, margin=self.margin, p=self.p, eps=self.eps,
            swap=self.swap, reduction=self.reduction,
        )  # fmt: skip


class CTCLoss(_Loss):
    """-log of the probability of all paths that are the targets."""

    def __init__(self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False):
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array
    ) -> Array:
        return f.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
            self.zero_infinity,
        )  # fmt: skip
