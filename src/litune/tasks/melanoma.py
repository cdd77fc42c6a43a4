"""Melanoma or not, from a photo of the skin: transfer learning with an EfficientNet, on classes far from balanced.

Network: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, by torchvision.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC
from torchmetrics.utilities import dim_zero_cat
from torchvision.models import get_model, get_model_weights

SUBMISSION = "submission.csv"
Batch = tuple[Tensor, Tensor, list[str]]  # photos (batch, 3, size, size), labels (batch,), names


class AUROC(BinaryAUROC):
    """Area under the ROC curve over the whole epoch, exact; 0.5 if only one class is present."""

    def compute(self) -> Tensor:  # type: ignore[override] # so is the class's own
        """Return the area of all that was seen since the last reset."""
        labels = dim_zero_cat(self.target)
        if labels.min() == labels.max():
            return torch.tensor(0.5, device=labels.device)
        area: Tensor = super().compute()
        return area


class LesionNet(pl.LightningModule):
    """EfficientNet with one output, the logit of a melanoma.

    architecture    b5 for a GPU and photos of 456 pixels, b0 for a small machine
    weights         DEFAULT: ImageNet's, downloaded by torchvision once; a file with such weights; null: none
    label_smoothing the target of a melanoma is 1 - label_smoothing / 2, that of anything else label_smoothing / 2
    pos_weight      how much a melanoma counts in the loss; balanced: negatives / positives of the photos to train on
    frozen, thaw    the first `frozen` of the 9 stages keep their weights in epoch 0; each epoch frees `thaw` of them,
                    the last ones first. With ddp, use strategy=ddp_find_unused_parameters_true.
    """

    pos_weight: Tensor

    def __init__(
        self,
        architecture: Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"] = "b5",
        weights: str | None = None,
        dropout: float = 0.4,
        label_smoothing: float = 0.05,
        pos_weight: float | Literal["balanced"] = "balanced",
        frozen: int = 0,
        thaw: int = 2,
        criterion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["criterion", "weights"])  # a checkpoint is loaded without the first weights
        self.net = pretrained(f"efficientnet_{architecture}", weights)
        self.net.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.net.classifier[1].in_features, 1))
        self.criterion, self.label_smoothing, self.frozen, self.thaw = criterion, label_smoothing, frozen, thaw
        self.balanced = pos_weight == "balanced"
        self.register_buffer("pos_weight", torch.tensor(1.0 if pos_weight == "balanced" else pos_weight))
        self.valid_auc, self.test_auc = AUROC(), AUROC()
        self.valid_acc, self.test_acc = BinaryAccuracy(), BinaryAccuracy()
        self.tested: list[tuple[str, float]] = []

    def setup(self, stage: str) -> None:
        """Weigh the classes by the photos to train on."""
        if stage == "fit" and self.balanced:
            self.pos_weight.fill_(self.trainer.datamodule.imbalance())  # type: ignore[attr-defined] # set by Lightning

    def on_train_epoch_start(self) -> None:
        """Freeze the stages that this epoch must not change; by the epoch alone, so that a continued run is equal."""
        still = max(0, self.frozen - self.thaw * self.current_epoch)
        for number, stage in enumerate(self.net.features):
            stage.requires_grad_(number >= still)
            stage.train(number >= still)  # batch norm keeps its statistics too

    def forward(self, photos: Tensor) -> Tensor:
        """Return logits, (batch,), of photos, (batch, 3, height, width)."""
        logits: Tensor = self.net(photos).squeeze(1)
        return logits

    def training_step(self, batch: Batch, _batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        photos, labels, _ = batch
        logits = self(photos)
        smooth = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.criterion is not None:
            loss: Tensor = self.criterion(logits, smooth)
        else:
            loss = functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=self.pos_weight)
        self.log("train_loss", loss, batch_size=len(labels))
        return loss

    def validation_step(self, batch: Batch, _batch_idx: int) -> None:
        """Log val_loss, val_auc and val_acc."""
        photos, labels, _ = batch
        logits = self(photos).float()
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        self.valid_auc.update(logits, labels.int())
        self.valid_acc.update(logits, labels.int())
        self.log_dict({"val_loss": loss, "val_auc": self.valid_auc, "val_acc": self.valid_acc}, batch_size=len(labels))

    def on_test_start(self) -> None:
        """Forget an earlier test."""
        self.tested = []

    def test_step(self, batch: Batch, _batch_idx: int) -> None:
        """Log test_auc and test_acc where there are labels."""
        photos, labels, names = batch
        logits = self(photos).float()
        self.tested += zip(names, logits.sigmoid().tolist(), strict=True)
        if not labels.isnan().any():
            self.test_auc.update(logits, labels.int())
            self.test_acc.update(logits, labels.int())
            self.log_dict({"test_auc": self.test_auc, "test_acc": self.test_acc}, batch_size=len(labels))

    def on_test_epoch_end(self) -> None:
        """Write submission.csv (image_name, target), the probability of a melanoma, into the trainer's directory."""
        rows = dict(self._of_all_ranks())  # ddp fills the last batch with photos that came before
        if self.trainer.is_global_zero:
            folder = Path(self.trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / SUBMISSION).open("w", newline="") as file:
                lines = csv.writer(file)
                lines.writerow(["image_name", "target"])
                lines.writerows((name, f"{probability:.6f}") for name, probability in rows.items())

    def predict_step(self, batch: Batch, _batch_idx: int) -> Tensor:
        """Return the probability of a melanoma for each photo."""
        probabilities: Tensor = self(batch[0]).float().sigmoid()
        return probabilities

    def _of_all_ranks(self) -> list[tuple[str, float]]:
        if self.trainer.world_size == 1:
            return self.tested
        parts: list[list[tuple[str, float]]] = [[] for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(parts, self.tested)
        return [row for part in parts for row in part]


def pretrained(name: str, weights: str | None) -> Any:
    """Return torchvision's network with weights: DEFAULT, a file, None; raise OSError or ValueError with the cure."""
    net = get_model(name, weights=None)
    if weights is None:
        return net
    file = Path(weights)
    if weights == "DEFAULT":
        url = get_model_weights(name).DEFAULT.url
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
        try:
            values = torch.hub.load_state_dict_from_url(
                url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
        except OSError as error:
            raise OSError(
                f"model.weights=DEFAULT: {url} could not be downloaded ({error}); on a machine with a network, "
                f"download it, put it at {file} or give model.weights=FILE; model.weights=null starts from nothing"
            ) from error
    elif not file.is_file():
        raise FileNotFoundError(f"model.weights={weights}: no such file; expected DEFAULT, null, or a file of {name}")
    else:
        values = torch.load(file, map_location="cpu", weights_only=True)
    try:
        net.load_state_dict(values)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"model.weights={weights}: {file} holds no weights of torchvision's {name}") from error
    return net
