"""python -m litune.tasks.melanoma_data DIR --images 400: a small labelled set of made skin lesions, to try melanoma on.

Drawn by numbers, not photographed: a mole is round, even and of one brown; a melanoma tends to have a ragged outline,
patches of other colours and a larger size (the ABCD rule: asymmetry, border, colour, diameter). The two overlap.
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2.functional import to_pil_image

SKIN = (224.0, 178.0, 152.0)  # red, green, blue of 0..255
MOLE = (122.0, 78.0, 56.0)
PATCHES = ((48.0, 34.0, 40.0), (150.0, 60.0, 66.0), (120.0, 122.0, 140.0))  # black, red, blue-grey
JPEG_QUALITY = 92


def make(
    root: Path, *, images: int = 400, test: int = 100, pixels: int = 96, positive: float = 0.2, seed: int = 1
) -> None:
    """Write jpeg/train, jpeg/test, train.csv and test.csv below `root`, all at once or not at all.

    `positive` is the share of melanomas. The same arguments make the same files. A `root` not empty raises OSError.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        generator = torch.Generator().manual_seed(seed)
        for part, count in (("train", images), ("test", test)):
            _write(draft, part, _labels(count, positive, generator), pixels, generator)
        draft.rename(root)
    except BaseException:
        shutil.rmtree(draft)
        raise


def _labels(count: int, positive: float, generator: torch.Generator) -> list[int]:
    order = torch.randperm(count, generator=generator)
    return (order < round(count * positive)).int().tolist()


def _write(root: Path, part: str, labels: Sequence[int], pixels: int, generator: torch.Generator) -> None:
    folder = root / "jpeg" / part
    folder.mkdir(parents=True)
    with (root / f"{part}.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_name", "target"])
        for number, label in enumerate(labels):
            name = f"MADE_{part.upper()}_{number:05d}"
            photo = lesion(label, pixels, generator)
            to_pil_image(photo).save(folder / f"{name}.jpg", quality=JPEG_QUALITY)
            rows.writerow([name, label])


def lesion(label: int, pixels: int, generator: torch.Generator) -> Tensor:
    """Return one lesion on skin, uint8, (3, pixels, pixels)."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    axis = torch.linspace(-1, 1, pixels)
    x, y = axis[None, :] - between(-0.2, 0.2), axis[:, None] - between(-0.2, 0.2)
    angle, distance = torch.atan2(y, x), torch.hypot(x, y)
    ragged = between(0.06, 0.2) if label else between(0.0, 0.09)
    outline = torch.full_like(angle, between(0.35, 0.65) if label else between(0.25, 0.55))
    for waves in range(2, 8):
        outline = outline * (1 + ragged / math.sqrt(waves) * torch.cos(waves * angle + between(0, 2 * math.pi)))
    inside = torch.sigmoid((outline - distance) / between(0.02, 0.06))
    colour = torch.tensor(MOLE)[:, None, None] * between(0.75, 1.35)
    patchy = between(0.35, 1.0) if label else between(0.0, 0.4)
    for patch in PATCHES:
        share = patchy * torch.sigmoid(3 * _clouds(pixels, 5, generator) - 2)
        colour = colour + share * (torch.tensor(patch)[:, None, None] - colour)
    skin = torch.tensor(SKIN)[:, None, None] * (between(0.8, 1.05) + 0.03 * _clouds(pixels, 9, generator))
    grain = 4 * torch.randn(3, pixels, pixels, generator=generator)
    return (skin + inside * (colour - skin) + grain).clamp(0, 255).to(torch.uint8)


def _clouds(pixels: int, cells: int, generator: torch.Generator) -> Tensor:
    """Return smooth noise, (pixels, pixels), of about unit size."""
    coarse = torch.randn(1, 1, cells, cells, generator=generator)
    return functional.interpolate(coarse, size=(pixels, pixels), mode="bicubic", align_corners=True)[0, 0]


def main(argv: Sequence[str] | None = None) -> None:
    """Make a set from the command line."""
    parser = argparse.ArgumentParser(prog="python -m litune.tasks.melanoma_data", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="is made; must not exist")
    parser.add_argument("--images", type=int, default=400, help="to train and validate with (400)")
    parser.add_argument("--test", type=int, default=100, help="to test with (100)")
    parser.add_argument("--pixels", type=int, default=96, help="width and height (96)")
    parser.add_argument("--positive", type=float, default=0.2, help="share of melanomas (0.2)")
    parser.add_argument("--seed", type=int, default=1)
    options = vars(parser.parse_args(argv))
    root = options.pop("directory")
    if root.exists():
        parser.error(f"{root}: exists already; name a directory to make")
    make(root, **options)
    print(f"{options['images']} images to train with, {options['test']} to test with, in {root}")


if __name__ == "__main__":
    main()
