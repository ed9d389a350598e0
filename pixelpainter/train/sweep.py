"""One run for each value of an option, and a table of how they ended."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pixelpainter.errors import TrainingError
from pixelpainter.train.config import TrainConfig

TABLE = "sweep.csv"
FAILED = "failed"  # stands for the step
DIGITS = 3
# Other pictures would be decoded for these, or they are no single value.
_FIXED = ("system", "size", "load_size", "mix")


def parse_sweep(text: str, config: TrainConfig) -> dict[str, TrainConfig]:
    """Read ``OPTION=VALUE,VALUE,...``.

    Args:
        text: such as "lambda_l1=10,50,100"; hyphens are as good as underscores.
        config: what all runs have in common.

    Returns:
        The configuration of each run, by the name of its folder, such as "lambda_l1=10".

    Raises:
        ValueError: there is no such option, or a value is none of its kind; the message says which.
        TrainingError: a value is out of range.
    """
    option, equals, values = text.partition("=")
    name = option.strip().lstrip("-").replace("-", "_")
    known = [field.name for field in dataclasses.fields(TrainConfig) if field.name not in _FIXED]
    if not equals or name not in known:
        raise ValueError(f"{text!r}: write OPTION=VALUE,VALUE,... with one of {', '.join(known)}")
    if name == "epochs" and config.samples:
        raise ValueError(f"--samples {config.samples} says how long to train: sweep samples, or set it to 0")
    kind = get_type_hints(TrainConfig)[name]
    configs: dict[str, TrainConfig] = {}
    for word in values.split(","):
        value = _read(word.strip(), kind)
        if value is None:
            raise ValueError(f"{word.strip()!r} is no value of {name}, whose value now is {getattr(config, name)}")
        short = f"{value:g}" if kind is float and float(f"{value:g}") == value else str(value)
        configs[f"{name}={short}"] = dataclasses.replace(config, **{name: value})
    return configs


def _read(word: str, kind: Any) -> Any:
    """Return a word as a value of a kind, which may be a choice of words; None where it is none."""
    if get_args(kind):
        return word if word in get_args(kind) else None
    if kind is bool:
        return {"yes": True, "true": True, "no": False, "false": False}.get(word.lower())
    try:
        return kind(word) if word else None
    except ValueError:
        return None


def sweep_rows(folder: Path, names: Iterable[str], failed: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what each run ended with: step, figures of the validation (or losses, without one).

    Args:
        folder: that the runs lie in.
        names: of the runs.
        failed: why those runs failed that did; their figures are none of a whole run, and left out.

    Raises:
        TrainingError: another run has left no table.
    """
    rows = []
    for name in names:
        if name in failed:
            rows.append({"run": name, "step": FAILED, "error": failed[name]})
            continue
        table = next(
            (folder / name / file for file in ("metrics.csv", "losses.csv") if (folder / name / file).exists()), None
        )
        if table is None:
            raise TrainingError(f"{folder / name}: there are no figures of this run; train it again with --fresh")
        with table.open(newline="", encoding="utf-8") as stream:
            last = list(csv.DictReader(stream))[-1:]
        rows.append({"run": name, **(last[0] if last else {})})
    return rows


def save_rows(rows: list[dict[str, str]], folder: Path) -> Path:
    """Write the rows as sweep.csv into the folder and return its path. Raises TrainingError."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _columns(rows))
    table.writeheader()
    table.writerows(rows)
    try:
        (folder / TABLE).write_text(text.getvalue(), encoding="utf-8", newline="")
    except OSError as error:
        raise TrainingError(f"{folder / TABLE}: cannot be written ({error.strerror or error})") from error
    return folder / TABLE


def text_table(rows: list[dict[str, str]]) -> str:
    """Return the rows as text, a line for each figure and a column for each run: there are more figures than runs."""
    heads = [row["run"].partition("=")[2] for row in rows]
    lines = [(rows[0]["run"].partition("=")[0], heads)]
    lines += [
        (name.replace("_", " "), [_rounded(name, row.get(name, "")) for row in rows])
        for name in _columns(rows)[1:]
        if name != "error"
    ]
    first = max(len(name) for name, _ in lines)
    width = max(8, *(len(cell) + 2 for _, cells in lines for cell in cells))
    return "\n".join(f"{name:{first}}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in lines)


def _columns(rows: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _rounded(name: str, value: str) -> str:
    return value if name == "step" or not value else f"{float(value):.{DIGITS}f}"
