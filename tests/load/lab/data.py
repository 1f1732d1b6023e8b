"""The raw figures beside the pages: JSON, small, with nothing left out that a page shows."""

import json
from pathlib import Path


def text(found: dict) -> str:
    return json.dumps(rounded(found), indent=1)


def write(found: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(found) + "\n")


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def rounded(value):
    """Four significant figures are more than any of these measurements is good for."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value
