"""Loss terms. The loop sums and logs whatever terms an objective returns and never asks its kind.

Sources: pix2pix (Isola et al., CVPR 2017, section 3.1) for L1 + adversarial loss; LSGAN (Mao et al., ICCV 2017);
hinge (Lim and Ye 2017; Miyato et al. 2018); total variation (Rudin, Osher and Fatemi, 1992; in its L1 form);
features of VGG-16 as a distance (Johnson et al., "Perceptual Losses", ECCV 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelpainter.train.perceptual import load_features

AdversarialLoss = Literal["none", "bce", "lsgan", "hinge"]


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        picture: (N, C, S, S) float, the generator's input as `pixelpainter.card` lays it out.
        palette: (N, colors, 4) float, or None where the network has no palette input.
        truth: (N, 3, S, S) float, sRGB in [-1, 1].
    """

    picture: Tensor
    palette: Tensor | None
    truth: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The generator's arguments."""
        return (self.picture,) if self.palette is None else (self.picture, self.palette)

    @property
    def drawing(self) -> Tensor:
        """(N, 1, S, S) float, the drawing alone: what the critic sees beside the color."""
        return self.picture[:, :1]


class Objective(Protocol):
    """What a system is trained for."""

    @property
    def uses_critic(self) -> bool:
        """Whether the loop must train a critic."""

    def generator_terms(self, fake: Tensor, batch: Batch, critic: nn.Module | None) -> dict[str, Tensor]:
        """Return the generator's weighted loss terms by name, scalars; their sum is minimised."""

    def critic_terms(self, fake: Tensor, batch: Batch, critic: nn.Module) -> dict[str, Tensor]:
        """Return the critic's loss terms by name, scalars; ``fake`` is detached."""


@dataclass(frozen=True, kw_only=True)
class ReconstructAndFool:
    """Weighted sum of reconstruction terms and an adversarial term.

    Attributes:
        adversarial: loss of the critic game; "none" trains without a critic.
        lambda_l1: weight of the mean absolute error of RGB.
        lambda_chroma: weight of the mean absolute error of two color differences (red-green, blue-yellow), which
            plain L1 lets fade to gray because most of a drawing is white.
        lambda_gradient: weight of the mean absolute error of horizontal and vertical color steps: a region of one
            color in the truth must be of one color in the answer.
        lambda_tv: weight of the answer's total variation: mean absolute step between neighbors, whatever the truth.
        lambda_perceptual: weight of the mean absolute error of VGG-16's features of answer and truth.
        lambda_gan: weight of the adversarial term (1 in the paper).
    """

    adversarial: AdversarialLoss
    lambda_l1: float
    lambda_chroma: float = 0.0
    lambda_gradient: float = 0.0
    lambda_tv: float = 0.0
    lambda_perceptual: float = 0.0
    lambda_gan: float = 1.0

    @property
    def uses_critic(self) -> bool:
        """Whether the loop must train a critic."""
        return self.adversarial != "none"

    def generator_terms(self, fake: Tensor, batch: Batch, critic: nn.Module | None) -> dict[str, Tensor]:
        """Return l1, and where weighted chroma, gradient, tv, perceptual and gan."""
        terms = {"l1": self.lambda_l1 * functional.l1_loss(fake, batch.truth)}
        if self.lambda_chroma:
            difference = _chroma(fake) - _chroma(batch.truth)
            terms["chroma"] = self.lambda_chroma * difference.abs().mean()
        if self.lambda_gradient:
            terms["gradient"] = self.lambda_gradient * _mean_step(fake - batch.truth)
        if self.lambda_tv:
            terms["tv"] = self.lambda_tv * _mean_step(fake)
        if self.lambda_perceptual:
            features = load_features(fake.device)
            pairs = zip(features(fake), features(batch.truth), strict=True)
            distances = [functional.l1_loss(answered.float(), true.float()) for answered, true in pairs]
            terms["perceptual"] = self.lambda_perceptual * torch.stack(distances).mean()
        if critic is not None and self.uses_critic:
            verdicts = _of_each_critic(critic(batch.drawing, fake))
            losses = [fooling_loss(self.adversarial, logits) for logits in verdicts]
            terms["gan"] = self.lambda_gan * torch.stack(losses).mean()
        return terms

    def critic_terms(self, fake: Tensor, batch: Batch, critic: nn.Module) -> dict[str, Tensor]:
        """Return real and fake, each halved as in the paper (section 3.3) to slow the critic."""
        terms = {}
        for name, color in (("real", batch.truth), ("fake", fake)):
            verdicts = _of_each_critic(critic(batch.drawing, color))
            losses = [judging_loss(self.adversarial, logits, real=name == "real") for logits in verdicts]
            terms[name] = 0.5 * torch.stack(losses).mean()
        return terms


def fooling_loss(kind: AdversarialLoss, logits: Tensor) -> Tensor:
    """Return the generator's adversarial loss for the critic's logits of its answers (non-saturating), a scalar."""
    logits = logits.float()
    if kind == "bce":
        return functional.softplus(-logits).mean()
    if kind == "lsgan":
        return (logits - 1).square().mean()
    return -logits.mean()


def judging_loss(kind: AdversarialLoss, logits: Tensor, *, real: bool) -> Tensor:
    """Return the critic's loss for logits of real or of generated pictures, a scalar."""
    signed = logits.float() if real else -logits.float()
    if kind == "bce":
        return functional.softplus(-signed).mean()
    if kind == "lsgan":
        target = 1.0 if real else 0.0
        return (logits.float() - target).square().mean()
    return functional.relu(1 - signed).mean()


def _chroma(color: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB to (N, 2, H, W): red minus green, and blue minus the mean of both."""
    red, green, blue = color.unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], dim=1)


def _of_each_critic(verdicts: Tensor | list[Tensor]) -> list[Tensor]:
    """The logits of one critic, or of several at once (`MultiScaleCritic`), as a list."""
    return verdicts if isinstance(verdicts, list) else [verdicts]


def _mean_step(picture: Tensor) -> Tensor:
    """Mean absolute step between neighbors of (N, 3, H, W), across plus down."""
    across = (picture[..., :, 1:] - picture[..., :, :-1]).abs().mean()
    down = (picture[..., 1:, :] - picture[..., :-1, :]).abs().mean()
    return across + down
