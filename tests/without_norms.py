"""`pixelpainter ARGUMENTS...` where pix2pix is a small network without BatchNorm, in float32: see test_processes.py."""

import dataclasses

from torch import nn

from pixelpainter.cli import main
from pixelpainter.nets.pix2pix import PatchCritic
from pixelpainter.systems import SYSTEMS
from pixelpainter.train import fast


def small_generator(config):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 3, 3, padding=1, padding_mode="reflect")
    )


row = SYSTEMS["pix2pix"]
SYSTEMS["pix2pix"] = dataclasses.replace(
    row,
    card=dataclasses.replace(row.card, multiple_of=32),
    make_generator=small_generator,
    make_critic=lambda config: PatchCritic(width=4, spectral=True),
)
fast.pays_bf16 = lambda device: False

if __name__ == "__main__":
    main()
