"""Draw the line drawings in this folder: our own, made from the strokes below, MIT like the program.

    python tests/data/make_data.py

Shapes are drawn back to front, each filled with paper before its outline, so nearer ones hide farther ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SCALE = 4  # drawn larger and shrunk: smooth lines
Points = list[tuple[float, float]]


class Sheet:
    """A white sheet with a pen; positions and widths in pixels of the finished drawing."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("L", (width * SCALE, height * SCALE), 255)
        self.draw = ImageDraw.Draw(self.image)

    def stroke(self, points: Points, width: float = 3.0, *, taper: bool = True, closed: bool = False) -> None:
        """Draw a smooth line through points, thinner at its ends."""
        path = spline(points, closed)
        along = np.linspace(0, 1, len(path))
        pressure = np.minimum(1, 0.3 + 4 * np.minimum(along, 1 - along)) if taper and not closed else np.ones(len(path))
        for (x, y), radius in zip(path * SCALE, pressure * width * SCALE / 2, strict=True):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)

    def shape(self, points: Points, width: float = 3.0, fill: int = 255) -> None:
        """Draw a closed smooth shape and fill it."""
        self.draw.polygon([tuple(point) for point in spline(points, True) * SCALE], fill=fill)
        self.stroke(points, width, closed=True)

    def oval(self, x: float, y: float, across: float, down: float, width: float = 3.0, fill: int = 255) -> None:
        """Draw a filled ellipse around (x, y)."""
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        self.shape([(x + across * np.cos(a), y + down * np.sin(a)) for a in angles], width, fill)

    def save(self, name: str) -> None:
        """Write the finished drawing beside this script."""
        size = (self.image.width // SCALE, self.image.height // SCALE)
        gray = self.image.resize(size, Image.Resampling.BOX).quantize(16)
        gray.save(Path(__file__).with_name(name), optimize=True)


def spline(points: Points, closed: bool) -> np.ndarray:
    """Return a dense Catmull-Rom curve through points, (N, 2); a point given twice makes a corner."""
    knots = np.array(points, float)
    knots = np.vstack([knots[-1], knots, knots[:2]]) if closed else np.vstack([knots[0], knots, knots[-1]])
    pieces = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        if (b == c).all():  # a corner: nothing to draw
            continue
        t = np.linspace(0, 1, max(2, int(np.hypot(*(c - b)) * 2)), endpoint=False)[:, None]
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack([*pieces, knots[-2]])


def mirror(points: Points, middle: float) -> Points:
    """Return points reflected at a vertical line."""
    return [(2 * middle - x, y) for x, y in points]


def girl() -> Sheet:
    """A girl with long hair, a bow and a sailor collar."""
    sheet, middle = Sheet(480, 560), 240.0
    half = [(240, 48), (165, 62), (108, 120), (88, 210), (86, 300), (74, 390), (48, 470), (30, 520), (30, 520)]
    half += [(84, 505), (84, 505), (100, 530), (100, 530), (160, 470), (200, 440)]
    sheet.shape(half + mirror(half, middle)[::-1], 3.4)
    sheet.shape(
        [
            (60, 575),
            (60, 575),
            (88, 500),
            (150, 462),
            (212, 440),
            (268, 440),
            (330, 462),
            (392, 500),
            (420, 575),
            (420, 575),
        ]
    )
    sheet.shape(
        [(213, 370), (214, 410), (204, 440), (204, 440), (240, 480), (276, 440), (276, 440), (266, 410), (267, 370)],
        2.6,
    )
    sheet.stroke([(216, 400), (236, 412), (262, 402)], 2)
    collar = [
        (206, 432),
        (206, 432),
        (160, 452),
        (128, 490),
        (128, 490),
        (170, 530),
        (232, 500),
        (240, 490),
        (240, 490),
        (222, 466),
    ]
    for side in (collar, mirror(collar, middle)):
        sheet.shape(side, 2.8)
    stripe = [(144, 492), (172, 514), (222, 492)]
    for side in (stripe, mirror(stripe, middle)):
        sheet.stroke(side, 1.8)
    tie = [(240, 496), (240, 496), (206, 484), (186, 498), (190, 524), (210, 528), (240, 508), (240, 508)]
    tail = [(236, 506), (236, 506), (212, 560), (212, 560), (238, 552), (244, 510)]
    for part in (tail, mirror(tail, middle), tie, mirror(tie, middle)):
        sheet.shape(part, 2.6)
    sheet.oval(240, 502, 12, 13, 2.6)
    ear = [(140, 262), (128, 252), (120, 272), (128, 304), (146, 314)]
    for side in (ear, mirror(ear, middle)):
        sheet.shape(side, 2.6)
    cheek = [(240, 120), (160, 150), (138, 230), (146, 300), (168, 348), (208, 386), (240, 400)]
    sheet.shape(cheek + mirror(cheek, middle)[::-1][1:-1], 3)
    for flip in (False, True):
        face_side(sheet, middle, flip)
    sheet.stroke([(241, 324), (246, 333), (239, 337)], 2)
    sheet.shape([(222, 356), (222, 356), (240, 360), (258, 356), (258, 356), (252, 372), (240, 377), (228, 372)], 2.4)
    bangs = [(240, 70), (176, 92), (130, 150), (124, 230), (134, 300), (140, 322), (140, 322), (150, 270), (164, 232)]
    bangs += [
        (172, 262),
        (176, 268),
        (176, 268),
        (194, 226),
        (200, 200),
        (212, 240),
        (222, 258),
        (222, 258),
        (238, 222),
    ]
    bangs += [
        (244, 196),
        (256, 236),
        (270, 254),
        (270, 254),
        (280, 222),
        (282, 200),
        (300, 244),
        (312, 262),
        (312, 262),
    ]
    bangs += [(318, 236), (332, 270), (342, 322), (342, 322), (350, 290), (356, 230), (348, 150), (304, 92)]
    sheet.shape(bangs, 3.2)
    locks: list[Points] = [[(236, 84), (206, 120), (190, 170)], [(248, 84), (262, 124), (266, 166)]]
    locks += [[(214, 82), (172, 124), (152, 190)], [(268, 84), (306, 126), (326, 190)]]
    for strand in locks:
        sheet.stroke(strand, 1.8)
    for strand in ([(104, 300), (98, 380), (72, 470)], [(122, 340), (118, 420), (92, 490)]):
        sheet.stroke(strand, 1.8)
        sheet.stroke(mirror(strand, middle), 1.8)
    loop = [(330, 112), (330, 112), (312, 72), (330, 62), (352, 78), (346, 108), (346, 108)]
    other = [(344, 114), (344, 114), (376, 92), (394, 108), (386, 132), (350, 128), (350, 128)]
    for part in (loop, other):
        sheet.shape(part, 2.8)
    sheet.oval(340, 116, 11, 10, 2.6)
    return sheet


def face_side(sheet: Sheet, middle: float, flip: bool) -> None:
    """Draw one eye, its brow and the blush below."""

    def side(points: Points) -> Points:
        return mirror(points, middle) if flip else points

    def across(x: float) -> float:
        return 2 * middle - x if flip else x

    sheet.shape(
        side([(168, 292), (174, 272), (192, 264), (212, 272), (220, 294), (208, 316), (188, 320), (174, 310)]), 1.4
    )
    sheet.oval(across(195), 294, 17, 24, 2.4)
    sheet.oval(across(195), 295, 8, 13, 1.0, fill=0)
    sheet.oval(189 if not flip else 279, 284, 6, 7, 1.4)
    sheet.stroke(side([(160, 296), (168, 276), (190, 263), (212, 269), (224, 288)]), 6)
    sheet.stroke(side([(184, 322), (198, 323), (210, 317)]), 2)
    sheet.stroke(side([(170, 246), (190, 238), (214, 243)]), 2.6)
    for x in (164, 174, 184):
        sheet.stroke(side([(x + 6, 336), (x, 346)]), 1.6)


def cat() -> Sheet:
    """A sitting cat with a scarf, beside a ball."""
    sheet = Sheet(520, 440)
    sheet.stroke([(20, 396), (140, 402), (300, 398), (500, 402)], 2.4)
    sheet.shape(
        [
            (330, 380),
            (400, 372),
            (432, 320),
            (420, 262),
            (440, 238),
            (462, 250),
            (466, 310),
            (440, 384),
            (380, 408),
            (330, 404),
        ],
        3,
    )
    for stripe in ([(424, 290), (444, 286), (464, 290)], [(426, 320), (446, 322), (462, 330)]):
        sheet.stroke(stripe, 2)
    sheet.shape(
        [(216, 230), (190, 300), (176, 370), (196, 404), (270, 408), (344, 404), (364, 366), (346, 296), (316, 230)],
        3.2,
    )
    sheet.stroke([(334, 404), (312, 372), (328, 340), (352, 346)], 2.6)
    paw = [(218, 300), (220, 360), (208, 392), (220, 406), (250, 406), (260, 390), (256, 340)]
    for leg in (paw, mirror(paw, 265)):
        sheet.stroke(leg, 2.8)
    for x in (224, 236, 292, 304):
        sheet.stroke([(x, 394), (x, 405)], 1.8)
    ear, inner = (
        [(176, 122), (176, 122), (166, 44), (166, 44), (236, 84), (236, 84)],
        [(190, 108), (182, 70), (214, 90)],
    )
    for flip in (False, True):
        sheet.shape(mirror(ear, 266) if flip else ear, 3.2)
        sheet.stroke(mirror(inner, 266) if flip else inner, 2)
    cheek = [(266, 76), (196, 92), (156, 146), (160, 190), (140, 206), (140, 206), (172, 214), (214, 244), (266, 250)]
    sheet.shape(cheek + mirror(cheek, 266)[::-1][1:-1], 3.2)
    for stripe in ([(266, 84), (266, 118)], [(244, 86), (248, 110)], [(288, 86), (284, 110)]):
        sheet.stroke(stripe, 3)
    for x in (216, 316):
        sheet.oval(x, 164, 22, 26, 2.8)
        sheet.oval(x, 166, 11, 18, 1.0, fill=0)
        sheet.oval(x - 6, 156, 5, 6, 1.0)
    sheet.shape([(256, 196), (266, 194), (276, 196), (266, 206)], 2.2)
    sheet.stroke([(266, 206), (264, 218), (250, 224), (238, 218)], 2.4)
    sheet.stroke([(266, 206), (268, 218), (282, 224), (294, 218)], 2.4)
    for tip in ((116, 178), (112, 198)):
        sheet.stroke([(176, 194), tip], 1.8)
        sheet.stroke(mirror([(176, 194), tip], 266), 1.8)
    sheet.shape(
        [
            (192, 236),
            (230, 256),
            (266, 260),
            (302, 256),
            (340, 236),
            (348, 262),
            (310, 284),
            (266, 290),
            (222, 284),
            (184, 262),
        ],
        3,
    )
    sheet.shape([(300, 276), (300, 276), (330, 270), (330, 270), (352, 338), (352, 338), (316, 346), (316, 346)], 2.8)
    for x in (324, 334, 344):
        sheet.stroke([(x - 2, 330), (x, 342)], 1.8)
    sheet.oval(86, 346, 52, 52, 3)
    sheet.stroke([(46, 314), (84, 340), (128, 316)], 2.2)
    sheet.stroke([(46, 380), (88, 356), (130, 374)], 2.2)
    sheet.stroke([(84, 296), (104, 344), (88, 396)], 2.2)
    return sheet


def house() -> Sheet:
    """A mushroom house on a hill, under a cloud."""
    sheet = Sheet(400, 400)
    sheet.oval(330, 70, 30, 30, 2.8)
    sheet.shape(
        [(60, 96), (44, 78), (62, 58), (88, 62), (108, 42), (138, 58), (156, 60), (162, 84), (146, 98), (100, 100)], 2.6
    )
    sheet.stroke([(0, 330), (90, 306), (200, 300), (310, 308), (400, 334)], 2.8, taper=False)
    sheet.shape([(140, 210), (132, 280), (120, 326), (160, 340), (240, 340), (280, 326), (268, 280), (260, 210)], 3)
    sheet.shape(
        [
            (200, 92),
            (130, 112),
            (78, 168),
            (66, 220),
            (92, 236),
            (200, 246),
            (308, 236),
            (334, 220),
            (322, 168),
            (270, 112),
        ],
        3.2,
    )
    for x, y, across, down in (
        (150, 150, 20, 16),
        (226, 130, 16, 12),
        (280, 180, 22, 18),
        (196, 200, 22, 16),
        (112, 204, 14, 11),
    ):
        sheet.oval(x, y, across, down, 2.4)
    sheet.shape([(178, 336), (178, 336), (178, 286), (200, 268), (222, 286), (222, 336), (222, 336)], 2.8)
    sheet.oval(213, 308, 3, 3, 1.4)
    sheet.oval(152, 280, 13, 14, 2.6)
    sheet.stroke([(152, 267), (152, 293)], 1.8)
    sheet.stroke([(140, 280), (165, 280)], 1.8)
    sheet.shape([(178, 340), (178, 340), (222, 340), (222, 340), (262, 400), (262, 400), (150, 400), (150, 400)], 2.6)
    for x, y in ((50, 350), (90, 372), (312, 356), (356, 376)):
        sheet.stroke([(x, y + 26), (x + 1, y + 8)], 2)
        for dx, dy in ((-7, 0), (7, 0), (0, -7), (0, 7)):
            sheet.oval(x + dx, y + dy, 5, 5, 1.8)
        sheet.oval(x, y, 4, 4, 1.8)
    return sheet


if __name__ == "__main__":
    for draw in (girl, cat, house):
        draw().save(f"{draw.__name__}.png")
