"""Find the colors of the pieces of a drawing from the network's answer, which mixes them with each other and with ink.

Two least squares problems, one after the other. The first trusts touching pieces more than the answer near lines; the
difference between its colors and the answer tells how dark and how blurred this network paints lines on this picture.
The second uses that, and trusts the answer as far as it can be explained so.
"""

from __future__ import annotations

import cv2
import numpy as np

from pixelpainter.pieces import Floats, Indices, Links, Pieces

WEAK_LINK = 1e-4  # between pieces that only a line connects: decides colors that nothing else decides
FIRST_TRUST = (0.02, 0.1)  # weight of the answer in cells with lines and beside them, until it is measured
FULL_TRUST = (1.0, 1.0)  # the same after that, for an answer that fits the drawing to within FITS
FITS = 0.015  # root mean square difference, of 1, between the answer and its explanation
SMOOTHNESS = 1.0  # weight of the links between pieces in the second solution
STEPS = (8, 12)  # of conjugate gradients in the two solutions: more change the result by less than one level
LINE_BLURS = (0.0, 0.6, 1.0)  # in cells: how blurred the network's lines may be
MOST_STRENGTH = 1.6  # of the network's lines; 1: as dark as the drawing's
DARKEST_LIGHT = 0.25  # with less, nothing can be said about the color under the ink
NECK = 3.0  # power of the length in a link: narrow necks are gaps in lines rather than openings
SLOTS = 5  # links of a piece that are kept in a dense table


class _System:
    """The least squares problem for the colors of all pieces near lines; the others keep the network's answer."""

    def __init__(self, pieces: Pieces, links: Links, answer: Floats) -> None:
        """Set up; ``answer`` is (3, C) float32 in [0, 1]."""
        self.answer = answer
        self.near = cv2.dilate(pieces.mixed.astype(np.uint8), np.ones((3, 3), np.uint8)).ravel() > 0
        free = (pieces.share > 0) & self.near[pieces.cell]
        self.free = np.flatnonzero(free)
        self.count = len(self.free)
        self.cell = pieces.cell[self.free]
        self.share, self.light = pieces.share[self.free], pieces.light[self.free]
        self.cell_light = np.bincount(pieces.cell, pieces.light, minlength=answer.shape[1]).astype(np.float32)
        place = np.cumsum(free) - 1
        first, second, length = _with_weak_links(pieces, links)
        inside = free[first] & free[second]
        self.weights = np.bincount(first, length, minlength=len(free)) + np.bincount(
            second, length, minlength=len(free)
        )
        self.weights = self.weights[self.free].astype(np.float32)
        self.borders = []  # links to fixed pieces: own place, other piece, length
        for own, other in ((first, second), (second, first)):
            border = free[own] & ~free[other]
            self.borders.append((place[own[border]], other[border], length[border]))
        ends = place[first[inside]], place[second[inside]]
        self.table, self.rest = _tabulated(
            np.concatenate(ends), np.concatenate(ends[::-1]), np.tile(length[inside], 2), self.count
        )

    def neighbors(self, values: Floats) -> Floats:
        """Return (n,): the sum over each piece's links of their length times the other end's value."""
        columns, lengths = self.table
        total: Floats = np.einsum("ij,ij->j", np.take(values, columns), lengths)
        rows, others, weights = self.rest
        if len(rows):
            total += np.bincount(rows, weights * values[others], minlength=self.count)
        return total

    def solve(self, colors: Floats, light: Floats, trust: Floats, smooth: float, steps: int) -> Floats:
        """Minimize sum(trust * (light * color summed per cell - answer)^2) + smooth * sum(length * difference^2).

        Conjugate gradients with a diagonal preconditioner. Source: Shewchuk 1994, algorithm B3.

        Args:
            colors: (3, N) float32, the starting point; fixed pieces keep their color.
            light: (n,) float32, share of the cell's light that comes through each free piece.
            trust: (C,) float32.
            smooth: weight of the second term.
            steps: number of iterations.

        Returns:
            (3, N) float32 in [0, 1].
        """
        cells = self.answer.shape[1]
        pull = light * trust[self.cell]
        scale = smooth * self.weights + light * pull + 1e-6
        result = colors.copy()

        def product(vector: Floats) -> Floats:
            seen = np.bincount(self.cell, light * vector, minlength=cells)[self.cell]
            return (smooth * (self.weights * vector - self.neighbors(vector)) + pull * seen).astype(np.float32)

        for channel, known in enumerate(colors):
            value = known[self.free]
            residual = pull * self.answer[channel, self.cell] - product(value)
            for own, other, length in self.borders:
                residual += smooth * np.bincount(own, length * known[other], minlength=self.count).astype(np.float32)
            step = residual / scale
            size = float(residual @ step)
            for _ in range(steps):
                image = product(step)
                amount = size / max(float(step @ image), 1e-20)
                value += amount * step
                residual -= amount * image
                scaled = residual / scale
                size, before = float(residual @ scaled), size
                step = scaled + (size / max(before, 1e-20)) * step
            result[channel, self.free] = np.clip(value, 0, 1)
        return result


def _with_weak_links(pieces: Pieces, links: Links) -> tuple[Indices, Indices, Floats]:
    """Add weak links across lines, so that a piece without other neighbors gets a sensible color."""
    height, width = pieces.mixed.shape
    cells = height * width
    linked = np.zeros(len(pieces.cell), bool)
    linked[links.first] = linked[links.second] = True
    main = pieces.main.reshape(height, width)
    lonely = ~linked[main]
    first, second = [np.arange(cells, len(pieces.cell))], [pieces.main[pieces.cell[cells:]]]
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        needed = lonely[before] | lonely[after]
        first.append(main[before][needed])
        second.append(main[after][needed])
    ends = np.concatenate(first), np.concatenate(second)
    different = ends[0] != ends[1]
    weak = np.full(int(different.sum()), WEAK_LINK, np.float32)
    return (
        np.concatenate([links.first, ends[0][different]]),
        np.concatenate([links.second, ends[1][different]]),
        np.concatenate([links.length**NECK, weak]),
    )


def _tabulated(
    rows: Indices, others: Indices, lengths: Floats, count: int
) -> tuple[tuple[Indices, Floats], tuple[Indices, Indices, Floats]]:
    """Sort links into a dense table (SLOTS, count) of other ends and lengths; and what does not fit into it."""
    columns = np.tile(np.arange(count), (SLOTS, 1))
    weights = np.zeros((SLOTS, count), np.float32)
    last = np.empty(count, np.intp)
    for slot in range(SLOTS):
        number = np.arange(len(rows))
        last[rows] = number
        wins = last[rows] == number  # one link per piece
        columns[slot, rows[wins]], weights[slot, rows[wins]] = others[wins], lengths[wins]
        rows, others, lengths = rows[~wins], others[~wins], lengths[~wins]
    return (columns, weights), (rows, others, lengths)


def solve_colors(pieces: Pieces, links: Links, answer: Floats) -> Floats:
    """Find the color of every piece.

    Args:
        pieces: the N pieces of a drawing in C cells.
        links: which pieces touch.
        answer: (3, C) float32, sRGB in [0, 1]: the network's answer for every cell.

    Returns:
        (3, N) float32, sRGB in [0, 1].
    """
    system = _System(pieces, links, answer)
    mixed = pieces.mixed.ravel()
    trust = np.where(mixed, *map(np.float32, FIRST_TRUST))
    colors = system.solve(_unlit(answer, system.cell_light, pieces), system.light, trust, 1.0, STEPS[0])
    light, errors = _measure_lines(system, colors[:, system.free], pieces)
    start = _unlit(answer, light, pieces)
    start[:, system.free] = colors[:, system.free]
    factors = [full * min(1.0, FITS**2 / max(error, 1e-9)) for full, error in zip(FULL_TRUST, errors, strict=True)]
    trust = np.where(mixed, *map(np.float32, factors))
    ratio = light / np.maximum(system.cell_light, 1e-3)
    return system.solve(start, np.minimum(system.light * ratio[system.cell], 1), trust, SMOOTHNESS, STEPS[1])


def _unlit(answer: Floats, light: Floats, pieces: Pieces) -> Floats:
    """Return (3, N): the answer divided by the light of its cell, for every piece."""
    return np.minimum(answer / np.maximum(light, DARKEST_LIGHT), 1)[:, pieces.cell]


def _measure_lines(system: _System, colors: Floats, pieces: Pieces) -> tuple[Floats, tuple[float, float]]:
    """Find how strong and how blurred the network paints lines.

    Returns:
        (C,) the light of every cell in the network's picture, and the mean square error of that explanation in cells
        with lines and in cells beside them.
    """
    cells = system.answer.shape[1]
    painted = np.stack([np.bincount(system.cell, system.share * row, minlength=cells) for row in colors])
    near, mixed = system.near, pieces.mixed.ravel()[system.near]
    painted, missing = painted[:, near], (painted - system.answer)[:, near]
    best_error, best, errors = np.inf, system.cell_light, (0.0, 0.0)
    for blur in LINE_BLURS:
        light = cv2.GaussianBlur(pieces.cell_light, (0, 0), blur) if blur else pieces.cell_light
        dark = painted * (1 - light.ravel()[near])
        strength = float(np.clip((dark * missing).sum() / max((dark * dark).sum(), 1e-6), 0, MOST_STRENGTH))
        squares = (missing - strength * dark) ** 2
        if squares.mean() < 0.97 * best_error:  # a more blurred model has to be clearly better
            best_error = float(squares.mean())
            errors = float(squares[:, mixed].mean()), float(squares[:, ~mixed].mean()) if not mixed.all() else 0.0
            best = np.clip(1 - strength * (1 - light.ravel()), 0.02, 1).astype(np.float32)
    return best, errors
