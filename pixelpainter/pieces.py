"""Cut a drawing into cells, one per pixel of the network's answer, and cells into the pieces between lines."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int32]  # where there is one per pixel

LINE_CONTRAST = 0.8  # a pixel darker than this share of the paper around it belongs to a line
GROWTH_PX = 4  # how far a piece reaches under lines inside its cell
SMALLEST_PIECE_PX = 3  # less is grain inside a line


@dataclass(frozen=True)
class Pieces:
    """The drawing in cells, the cells in pieces. C cells, row by row; piece i < C is cell i as a whole.

    Attributes:
        zoom: pixels per cell and direction.
        mixed: (h, w) bool, cells with lines; their order gives the order of ``clear`` and ``nearest``.
        clear: (M, zoom, zoom) the piece of every pixel of the mixed cells, -1 on lines.
        nearest: (M, zoom, zoom) the same, with the nearest piece of the cell on lines.
        cell: (N,) the cell of every piece.
        main: (C,) the largest piece of every cell; a cell that is all line is one piece.
        share: (N,) share of the cell's area; 0 for numbers that are not in use.
        light: (N,) share of the cell's area times the light that the drawing lets through.
        cell_light: (h, w) in [0, 1], the drawing at the size of the answer.
    """

    zoom: int
    mixed: Flags
    clear: Numbers
    nearest: Numbers
    cell: Indices
    main: Indices
    share: Floats
    light: Floats
    cell_light: Floats


@dataclass(frozen=True)
class Links:
    """Pieces that touch: ``first`` is left of or above ``second``; ``length`` in cell sides; ``down`` or right."""

    first: Indices
    second: Indices
    length: Floats
    down: Flags


def cut(drawing: Bytes, zoom: int) -> Pieces | None:
    """Cut a drawing, (h * zoom, w * zoom), into cells and pieces; None when there is no line in it."""
    height, width = drawing.shape[0] // zoom, drawing.shape[1] // zoom
    soft = np.minimum(drawing, cv2.blur(drawing, (3, 3)))  # closes the pores of pencil lines, keeps thin lines
    square = np.ones((zoom, zoom), np.uint8)
    darkest = cv2.erode(soft, square, anchor=(0, 0))[::zoom, ::zoom]
    lightest = cv2.dilate(soft, square, anchor=(0, 0))[::zoom, ::zoom]
    paper = cv2.dilate(lightest, np.ones((3, 3), np.uint8))  # so that the inside of a gray or black area is no line
    limit = paper * np.float32(LINE_CONTRAST)
    mixed = darkest < limit
    if not mixed.any():
        return None

    def tiles(picture: Bytes) -> Bytes:
        return picture.reshape(height, zoom, width, zoom).transpose(0, 2, 1, 3)[mixed]

    labels, grown, areas, tile = _label_tiles(tiles(soft) >= limit[mixed][:, None, None])
    cells = height * width
    whole = np.flatnonzero(mixed)
    clear = np.where(labels > 0, labels + np.int32(cells - 1), np.int32(-1))
    cell = np.concatenate([np.arange(cells), whole[tile]])
    main = np.arange(cells)
    by_area = np.argsort(areas, kind="stable") + cells
    main[cell[by_area]] = by_area
    nearest = np.where(grown > 0, grown + np.int32(cells - 1), main[whole][:, None, None].astype(np.int32))
    flat, pixel = nearest.ravel(), 1 / zoom**2
    share = np.bincount(flat, minlength=len(cell)) * pixel
    light = np.bincount(flat, tiles(drawing).ravel(), minlength=len(cell)) * (pixel / 255)
    cell_light = np.float32(1 / 255) * cv2.resize(drawing, (width, height), interpolation=cv2.INTER_AREA)
    share[:cells][~mixed.ravel()] = 1
    light[:cells][~mixed.ravel()] = cell_light[~mixed]
    return Pieces(
        zoom, mixed, clear, nearest, cell, main, share.astype(np.float32), light.astype(np.float32), cell_light
    )


def _label_tiles(free: Flags) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Number the connected areas of (M, k, k) tiles from 1.

    Returns:
        (M, k, k) the numbers, 0 on lines; the numbers grown over lines; (N,) the areas in pixels; (N,) their tiles.
    """
    count, side, columns = len(free), free.shape[1], 256
    rows = -(-count // columns)
    apart = side + 1  # tiles lie side by side in one picture, one pixel apart, so that one call labels all
    padded = np.zeros((rows * columns, apart, apart), np.uint8)
    padded[:count, :side, :side] = free
    sheet = padded.reshape(rows, columns, apart, apart).transpose(0, 2, 1, 3).reshape(rows * apart, columns * apart)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(sheet, connectivity=4, ltype=cv2.CV_32S)
    kept = statistics[:, cv2.CC_STAT_AREA] >= SMALLEST_PIECE_PX
    kept[0] = False
    areas = statistics[kept, cv2.CC_STAT_AREA]
    tile = statistics[kept, cv2.CC_STAT_TOP] // apart * columns + statistics[kept, cv2.CC_STAT_LEFT] // apart
    renumbered = np.where(kept, np.cumsum(kept), 0).astype(np.float32)[labels]

    def cut_apart(picture: Floats) -> Numbers:
        cut = picture.reshape(rows, apart, columns, apart).transpose(0, 2, 1, 3).reshape(-1, apart, apart)
        return cut[:count, :side, :side].astype(np.int32)

    grown = renumbered
    gaps = np.zeros((rows, apart, columns, apart), bool)
    gaps[:, side] = gaps[:, :, :, side] = True
    gaps = gaps.reshape(sheet.shape)
    for _ in range(GROWTH_PX):
        step = cv2.dilate(grown, np.ones((3, 3), np.uint8))
        step[gaps] = 0
        grown = np.where(grown == 0, step, grown)
    return cut_apart(renumbered), cut_apart(grown), areas, tile


def find_links(pieces: Pieces) -> Links:
    """Find the pieces that touch across the borders of cells."""
    height, width = pieces.mixed.shape
    zoom = pieces.zoom
    number = np.arange(height * width).reshape(height, width)
    parts: list[tuple[Indices, Indices, NDArray[np.float64], bool]] = []
    for down in (True, False):
        ends = (pieces.clear[:, -1], pieces.clear[:, 0]) if down else (pieces.clear[:, :, -1], pieces.clear[:, :, 0])
        before, after = (np.s_[:-1], np.s_[1:]) if down else (np.s_[:, :-1], np.s_[:, 1:])
        detailed = pieces.mixed[before] | pieces.mixed[after]
        first, second = (
            _with_ends(number, pieces.mixed, end)[where][detailed]
            for end, where in zip(ends, (before, after), strict=True)
        )
        parts.append((number[before][~detailed], number[after][~detailed], np.ones(int((~detailed).sum())), down))
        touching = (first >= 0) & (second >= 0)
        begins = touching.copy()  # of a run of pixels with the same two pieces
        begins[:, 1:] &= (first[:, 1:] != first[:, :-1]) | (second[:, 1:] != second[:, :-1])
        run = np.cumsum(begins) - 1
        length = np.bincount(run[touching.ravel()], minlength=int(begins.sum())) / zoom
        parts.append((first[begins], second[begins], length, down))
    return Links(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]).astype(np.float32),
        np.concatenate([np.full(len(part[0]), part[3]) for part in parts]),
    )


def _with_ends(number: Indices, mixed: Flags, end: Numbers) -> Indices:
    """Return (h, w, zoom): the pieces along one side of every cell."""
    sides = np.repeat(number[:, :, None], end.shape[1], axis=2)
    sides[mixed] = end
    return sides
