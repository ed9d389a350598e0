"""Upload an exported model to the Hugging Face Hub, with a README made from its model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pixelpainter.card import ModelCard
from pixelpainter.hub import hash_model, hub_client
from pixelpainter.models import HubFile

# The Hub's names of licences that need no text of their own.
_HUB_LICENCES = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "bsd-3-clause")


@dataclass(frozen=True)
class Publication:
    """An uploaded model.

    Attributes:
        home: the file with its commit and SHA-256, as a row of `pixelpainter.models.KNOWN_MODELS` wants it.
        address: the page of the commit.
    """

    home: HubFile
    address: str


def publish(file: Path, card: ModelCard, repo: str, *, private: bool = True) -> Publication:
    """Upload a model and its README in one commit.

    Args:
        file: the ONNX file; it keeps its name.
        card: what is inside it.
        repo: "owner/repo"; it is made if it does not exist.
        private: whether a new repository is private; one that exists stays as it is.

    Raises:
        ModelError: the Hub refuses, or cannot be reached.
    """
    target = HubFile(repo=repo, file=file.name)
    with hub_client(target):
        from huggingface_hub import CommitOperationAdd, HfApi

        hub = HfApi()
        hub.create_repo(repo, private=private, exist_ok=True)
        commit = hub.create_commit(
            repo,
            [
                CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file),
                CommitOperationAdd(path_in_repo="README.md", path_or_fileobj=make_readme(card, target).encode()),
            ],
            commit_message=f"PixelPainter model {file.name}: {card.system}, {card.precision}",
        )
    home = HubFile(repo=repo, revision=commit.oid, file=file.name, sha256=hash_model(file))
    return Publication(home, str(commit.commit_url))


def make_readme(card: ModelCard, target: HubFile) -> str:
    """Return the README of a repository with one model: how to use it, what it is, what it was made from."""
    from huggingface_hub import ModelCardData

    licence = card.licence.strip().lower().replace(" ", "-")
    known = licence in _HUB_LICENCES
    data = ModelCardData(
        license=licence if known else "other" if licence else None,
        license_name=None if known else licence or None,
        library_name="pixelpainter",
        pipeline_tag="image-to-image",
        tags=["onnx", "line-art", "colorization"],
    )
    name = target.repo if target.file == HubFile.file else f"{target.repo}:{target.file}"
    hints = "yes" if card.hints != "none" else "no"
    facts = {
        "system": card.system,
        "reads, predicts": f"{card.reads}, {card.predicts}",
        "size": f"{card.size}x{card.size}",
        "color hints": hints,
        "palette": f"{card.palette} colors" if card.palette else "no",
        "weights": card.precision,
        "samples seen in training": str(card.samples_seen),
        "training data (SHA-256 of the list)": card.data_manifest or "not recorded",
        "trained with": f"`{card.command}`" if card.command else "not recorded",
        "exported by": f"PixelPainter {card.program_version}".strip(),
    }
    metrics = {name: f"{value:.4g}" for name, value in card.metrics.items()}
    sections = [
        f"---\n{data.to_yaml()}\n---\n\n# {target.repo.partition('/')[2]}",
        "Colors line drawings with PixelPainter:",
        f"```\npixelpainter colorize sketch.png --model {name}\n```",
        "## The model\n\n" + _table(facts),
        "## Metrics\n\n" + (_table(metrics) if metrics else "None were recorded."),
        "## Training data\n\n" + ("\n".join(f"* {line}" for line in card.sources) or "Its sources were not recorded."),
        f"## Licence\n\n{card.licence or 'None was given: ask the owner of this repository.'}",
    ]
    return "\n\n".join(sections) + "\n"


def _table(rows: dict[str, str]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])
