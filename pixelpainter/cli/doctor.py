"""`pixelpainter doctor`: what is installed, and whether it works."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer


def doctor(
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model to try. Default: the one that `colorize` would use."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to run it.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show versions, model and processors, and try whether `colorize` can work.

    Exit status 1: it cannot.
    """
    from pixelpainter.doctor import examine

    report = examine(model, device)
    if as_json:
        import json

        typer.echo(json.dumps(report, indent=2))
    else:
        typer.echo("\n".join(_lines(report)))
    if report["problems"]:
        raise typer.Exit(1)


def _lines(report: dict[str, Any]) -> list[str]:
    """Return the report as lines of text."""
    machine, runtime, model = report["machine"], report["onnxruntime"], report["model"]
    quota = f", quota {machine['cpu_quota']:g}" if machine["cpu_quota"] is not None else ""
    lines = ["Versions"]
    lines += [f"  {name} {version}" for name, version in report["versions"].items()]
    lines += ["Machine", f"  {machine['system']}"]
    lines += [
        f"  processor cores: {machine['cpus']}, for this process {machine['cpus_by_affinity']}{quota}; "
        f"used: {machine['threads_used']}"
    ]
    lines += ["onnxruntime"]
    lines += [f"  providers in this build: {', '.join(runtime.get('providers_available', ['none']))}"]
    lines += [f"  active: {runtime.get('device_active', 'none')}"]
    lines += ["Model"]
    if model:
        card = model["card"]
        lines += [f"  {model['file']} (named by {model['named_by']}, {model['bytes'] / 1e6:.1f} MB)"]
        lines += [f"  SHA-256 {model['sha256']}"]
        lines += [f"  {card['system']}, {card['size']}x{card['size']}, {card['precision']}, hints {card['hints']}"]
        lines += [f"  palette of {card['palette']}, {card['samples_seen']} samples seen"]
        lines += [f"  licence: {card['licence']}"] if card["licence"] else []
    else:
        lines += ["  none"]
    lines += ["Folders", *(f"  {name.replace('_', ' ')}: {path}" for name, path in report["folders"].items())]
    lines += [f"Remark: {text}" for text in report["remarks"]]
    lines += [f"Problem: {text}" for text in report["problems"]]
    return lines + ([] if report["problems"] else ["colorize works."])
