"""Drawings with known flats, made by the generator of procedural characters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def draw_pictures(generator: Path, folder: Path, seed: int, count: int, size: int) -> list[str]:
    """Draw what is not in the folder yet, with flats; return the names of the pictures."""
    names = [f"anime_{seed + number}" for number in range(count)]
    if not all((folder / "flats" / f"{name}.png").exists() for name in names):
        command = [sys.executable, generator, "--flats", "--out", folder]
        command += ["--count", count, "--seed", seed, "--size", size]
        subprocess.run([str(part) for part in command], check=True)
    return names
