"""The systems table: what each system reads, predicts, and is trained with. A system is a row of data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from pixelpainter.card import ModelCard, SystemName
from pixelpainter.nets.hint_unet import HintUNet
from pixelpainter.nets.pix2pix import MultiScaleCritic, PatchCritic, UNetGenerator
from pixelpainter.train.config import MULTIPLE_OF, TrainConfig
from pixelpainter.train.objectives import Objective, ReconstructAndFool


@dataclass(frozen=True, kw_only=True)
class System:
    """One row: the contract, and makers for the parts that training needs.

    Attributes:
        card: what the network reads and predicts; a run replaces ``size`` and the record of its making.
    """

    card: ModelCard
    make_generator: Callable[[TrainConfig], nn.Module]
    make_critic: Callable[[TrainConfig], nn.Module]
    make_objective: Callable[[TrainConfig], Objective]


def _objective(config: TrainConfig) -> Objective:
    return ReconstructAndFool(
        adversarial=config.adversarial,
        lambda_l1=config.lambda_l1,
        lambda_chroma=config.lambda_chroma,
        lambda_gradient=config.lambda_gradient,
        lambda_tv=config.lambda_tv,
        lambda_perceptual=config.lambda_perceptual,
        lambda_gan=config.lambda_gan,
    )


def _critic(config: TrainConfig, **options: Any) -> nn.Module:
    critics = [PatchCritic(**options) for _ in range(config.critics)]
    return critics[0] if config.critics == 1 else MultiScaleCritic(critics)


SYSTEMS: dict[SystemName, System] = {
    "pix2pix": System(
        card=ModelCard(
            system="pix2pix",
            reads="lines",
            predicts="rgb",
            size=256,
            multiple_of=MULTIPLE_OF["pix2pix"],
            hints="none",
            palette=0,
        ),
        make_generator=lambda config: UNetGenerator(config.width, attention=config.attention),
        make_critic=_critic,
        make_objective=_objective,
    ),
    "pix2pix-hints": System(
        card=ModelCard(
            system="pix2pix-hints",
            reads="lines",
            predicts="rgb",
            size=256,
            multiple_of=MULTIPLE_OF["pix2pix-hints"],
            hints="rgb-mask",
            palette=6,
        ),
        make_generator=lambda config: HintUNet(config.width, attention=config.attention),
        make_critic=lambda config: _critic(config, drawing_channels=1, width=32, spectral=True),
        make_objective=_objective,
    ),
}
