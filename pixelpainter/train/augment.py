"""What a training step changes at random: place, pose and colors of pictures, their lines, hints and palettes.

All of it is batched and runs where the pictures lie. A choice that decides shapes, or that is one number per picture,
is drawn on the CPU, so that no step waits for a GPU to answer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pixelpainter.train.config import TrainConfig

MAX_HINTS = 80
WARP = torch.tensor([0.25, 0.1, 0.15, 0.15])  # most radians turned, most skew, and log of the stretch across and down
HINT_RADII = (1, 2, 4)  # pixels at size 256; smaller sizes use the same dots, as users' dots do not shrink
NO_HINTS_SHARE = 1 / 3  # of the samples
FIGURE_HINTS_SHARE = 0.85  # of the samples; in the rest hints fall anywhere, so that white background is hinted too


def _fields(random: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator for whole pictures of random numbers: on a GPU one of its own there, seeded by the other."""
    if device.type == "cpu":
        return random
    seed = int(torch.randint(2**62, (), generator=random))
    return torch.Generator(device).manual_seed(seed)


def place(pictures: Tensor, config: TrainConfig, random: torch.Generator) -> Tensor:
    """Cut pictures out at random places: the same size for all of a batch.

    Args:
        pictures: (N, 5, L, L) float in 0..1: color, drawing, figure.
        config: ``size`` S; a share ``zoom`` of the batches shows a smaller part, or all of it smaller on a white page.
        random: source of all choices.

    Returns:
        (N, 5, S, S) in the same range.
    """
    count, channels, load, _ = pictures.shape
    size = config.size
    zoomed = torch.rand((), generator=random).item() < config.zoom
    scale = 0.5 + torch.rand((), generator=random).item()  # of the picture's side: below 1 a part, above 1 margins
    whole = load // size * size  # the largest multiple of the size: an exact area filter brings it down
    side = round(load * min(scale, 1.0)) if zoomed else whole
    corners = torch.randint(load - side + 1, (count, 2), generator=random).tolist()
    parts = [
        picture[:, top : top + side, left : left + side] for picture, (top, left) in zip(pictures, corners, strict=True)
    ]
    cropped = torch.stack(parts)
    if not zoomed:
        return functional.avg_pool2d(cropped, whole // size) if whole > size else cropped
    target = max(round(size / max(scale, 1.0)), 1)
    resized = functional.interpolate(cropped, (target, target), mode="bilinear", antialias=True).clamp_(0, 1)
    if target == size:
        return resized
    page = torch.ones(count, channels, size, size, device=pictures.device)
    page[:, 4:] = 0.0  # the margin is not figure
    top, left = torch.randint(size - target + 1, (2,), generator=random).tolist()
    page[:, :, top : top + target, left : left + target] = resized
    return page


def warp(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Turn, stretch and shear a share of the pictures a little, so that few characters have many poses.

    Args:
        pictures: (N, 5, S, S) float in 0..1: color, drawing, figure.
        share: of the pictures, 0..1.
        random: source of all choices.

    Returns:
        The same shape and range; what comes in from outside is white page. Pictures outside the share unchanged.
    """
    count = len(pictures)
    chosen = torch.rand(count, generator=random) < share
    angle, skew, *stretch = ((torch.rand(4, count, generator=random) * 2 - 1) * WARP[:, None]).unbind()
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros(count)
    rows = [
        torch.stack([cosine * stretch[0].exp(), skew - sine, zero], dim=1),
        torch.stack([sine + skew, cosine * stretch[1].exp(), zero], dim=1),
    ]
    places = chosen.nonzero()[:, 0].to(pictures.device)
    matrices = torch.stack(rows, dim=1)[chosen].to(pictures.device)
    if not len(places):
        return pictures
    part = pictures[places]
    part = torch.cat([1 - part[:, :4], part[:, 4:]], dim=1)  # outside is 0: white, and no figure
    grid = functional.affine_grid(matrices, list(part.shape), align_corners=False)
    part = functional.grid_sample(part, grid, mode="bilinear", align_corners=False)
    return pictures.index_copy(0, places, torch.cat([1 - part[:, :4], part[:, 4:]], dim=1))


def jitter_lines(drawing: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Roughen the lines of a share of the drawings: width, strength, gaps, grain.

    Args:
        drawing: (N, 1, S, S) float, 0 (ink) to 1 (paper).
        share: of the drawings, 0..1.
        random: source of all choices.

    Returns:
        The same shape and range; drawings outside the share unchanged.
    """
    if not share:
        return drawing
    count, device = len(drawing), drawing.device

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, 1, 1, 1, generator=random)).to(device)

    ink = 1 - drawing
    thick = functional.max_pool2d(ink, 3, 1, 1)
    thin = -functional.max_pool2d(-ink, (1, 2), 1, (0, 1))[..., : ink.shape[3]]
    width = uniform(-0.6, 1.0)
    rough = ink + width.clamp(min=0) * (thick - ink) - width.clamp(max=0) * (thin - ink)
    noise = torch.rand(count, 1, 16, 16, generator=random).to(device)
    patches = functional.interpolate(noise, drawing.shape[2:], mode="bilinear")
    gaps = torch.sigmoid((patches - uniform(-0.2, 0.35)) * 40)  # a tenth or so of the line length vanishes at most
    noise = torch.randn(drawing.shape, generator=_fields(random, device), device=device)
    grain = noise * uniform(-0.03, 0.05).clamp(min=0)
    rough = (rough * gaps * uniform(0.45, 1.3) + grain).clamp(0, 1)
    chosen = (torch.rand(count, 1, 1, 1, generator=random) < share).to(device)
    return torch.where(chosen, 1 - rough, drawing)


def draw_hint_counts(count: int, random: torch.Generator) -> Tensor:
    """Return (count,) int64 numbers of hints: none in a third of the samples, else 1 to MAX_HINTS, log-uniform."""
    exponents = torch.rand(count, generator=random) * math.log(MAX_HINTS)
    none = torch.rand(count, generator=random) < NO_HINTS_SHARE
    return torch.where(none, 0, exponents.exp().floor().long().clamp(1, MAX_HINTS))


def scatter_hints(truth: Tensor, figure: Tensor, counts: Tensor, random: torch.Generator) -> Tensor:
    """Put dots of true color at random points.

    Args:
        truth: (N, 3, S, S) float, sRGB in 0..1.
        figure: (N, 1, S, S) float, above 0.5 inside the figure; most dots fall there.
        counts: (N,) int64 dots per picture, at most MAX_HINTS; a picture of fewer pixels gets as many as it has.
        random: source of all choices.

    Returns:
        (N, 4, S, S) float: sRGB in [-1, 1] (0 where there is no dot) and the mask, 0 or 1.
    """
    count, _, height, width = truth.shape
    device = truth.device
    # The largest of uniform random keys are a random subset; keys raised inside the figure make it prefer the figure.
    inside = (figure[:, 0] > 0.5).flatten(1).float()
    keys = torch.rand(count, height * width, generator=_fields(random, device), device=device)
    prefer = (torch.rand(count, 1, generator=random) < FIGURE_HINTS_SHARE).to(device)
    most = min(MAX_HINTS, height * width)
    points = torch.where(prefer, keys + inside, keys).topk(most, dim=1).indices
    order = torch.arange(most)[None]
    radius_of = torch.randint(len(HINT_RADII), (count, most), generator=random)
    smoothed = functional.avg_pool2d(truth, 3, 1, 1, count_include_pad=False)
    table = torch.zeros(count, 3, most + 1, device=device)
    table[:, :, 1:] = smoothed.flatten(2).gather(2, points[:, None].expand(-1, 3, -1))
    dots = torch.zeros(count, height * width, device=device)
    for index, radius in enumerate(HINT_RADII):
        chosen = ((radius_of == index) & (order < counts[:, None])).to(device)
        ids = torch.zeros(count, height * width, device=device)
        # A point outside this group writes 0 where nothing is: points are distinct, so no dot is lost.
        ids.scatter_(1, points, torch.where(chosen, order.to(device) + 1, 0).float())
        grown = functional.max_pool2d(ids.view(count, 1, height, width), 2 * radius - 1, 1, radius - 1).flatten(1)
        dots = torch.where(grown > 0, grown, dots)
    color = table.gather(2, dots.long()[:, None].expand(-1, 3, -1)).view(count, 3, height, width)
    mask = (dots > 0).float().view(count, 1, height, width)
    return torch.cat([(color * 2 - 1) * mask, mask], dim=1)


def recolor(
    truth: Tensor, palette: Tensor | None, told: Tensor, share: float, random: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Rotate the hue and scale the saturation of a share of the pictures, and of their palettes alike.

    Pictures without hints and palette keep their colors: there the network must know skin and sky by itself.

    Args:
        truth: (N, 3, S, S) float, sRGB in 0..1.
        palette: (N, colors, 4) float palette codes in [-1, 1], on the CPU, or None.
        told: (N,) bool, on the CPU, whether hints or palette tell the network the colors.
        share: of the pictures that are told, 0..1.
        random: source of all choices.
    """
    count = len(truth)
    chosen = (torch.rand(count, generator=random) < share) & told
    angle = (torch.rand(count, generator=random) * 2 - 1) * math.pi * chosen
    saturation = torch.where(chosen, 0.6 + 0.8 * torch.rand(count, generator=random), 1.0)
    matrix = hue_matrix(angle, saturation)
    shifted = torch.einsum("nij,njhw->nihw", matrix.to(truth.device), truth).clamp(0, 1)
    if palette is None:
        return shifted, None
    used = palette[..., 3:] > 0
    colors = torch.einsum("nij,nkj->nki", matrix, (palette[..., :3] + 1) / 2).clamp(0, 1) * 2 - 1
    return shifted, torch.cat([torch.where(used, colors, palette[..., :3]), palette[..., 3:]], dim=2)


def hue_matrix(angle: Tensor, saturation: Tensor) -> Tensor:
    """Return (N, 3, 3) matrices that turn RGB about the gray axis by an angle in radians and scale saturation.

    Source: Rodrigues' rotation formula about the unit vector (1, 1, 1) / sqrt(3).
    """
    third = torch.full((3, 3), 1 / 3)
    root = math.sqrt(1 / 3)
    cross = torch.tensor([[0.0, -root, root], [root, 0.0, -root], [-root, root, 0.0]])
    cosine, sine = (saturation * angle.cos())[:, None, None], (saturation * angle.sin())[:, None, None]
    return cosine * (torch.eye(3) - third) + sine * cross + third


def drop_palettes(palette: Tensor | None, share: float, random: torch.Generator) -> Tensor | None:
    """Blank the palettes of a share of the samples; shorten some others, as users' palettes may be short."""
    if palette is None:
        return None
    count, colors, _ = palette.shape
    kept = torch.where(
        torch.rand(count, generator=random) < 0.2, torch.randint(2, colors + 1, (count,), generator=random), colors
    )
    kept = torch.where(torch.rand(count, generator=random) < share, 0, kept)
    mask = (torch.arange(colors)[None] < kept[:, None]).float()[..., None]
    return palette * mask
