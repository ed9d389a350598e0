"""`pixelpainter ARGUMENTS...` where pix2pix is a small network without BatchNorm, in float32: see test_processes.py."""

import dataclasses

from torch import nn

from pixelpainter.cli import main
from pixelpainter.nets.pix2pix import PatchCritic
from pixelpainter.systems import SYSTEMS
from pixelpainter.train import config, fast


def small_generator(_):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 3, 3, padding=1, padding_mode="reflect")
    )


row = SYSTEMS["pix2pix"]
SYSTEMS["pix2pix"] = dataclasses.replace(
    row,
    make_generator=small_generator,
    make_critic=lambda _: PatchCritic(width=4, spectral=True),
)
config.MULTIPLE_OF["pix2pix"] = 32
fast.pays_bf16 = lambda device: False

if __name__ == "__main__":
    main()
