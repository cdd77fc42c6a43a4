"""A small recurrent forecaster that does its optimizer's steps by itself."""

import pytorch_lightning as pl
import torch
from torch import nn


class Forecaster(pl.LightningModule):
    def __init__(self, units: int = 8, learning_rate: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.cell = nn.GRU(1, units, batch_first=True)
        self.head = nn.Linear(units, 1)

    def forward(self, known: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(known)[0][:, -1]).squeeze(-1)

    def training_step(self, batch, _index: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(nn.functional.huber_loss(self(batch[0]), batch[1]))
        optimizer.step()

    def validation_step(self, batch, _index: int) -> None:
        self.log("forecast/rmse", (self(batch[0]) - batch[1]).square().mean().sqrt(), on_epoch=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(self.parameters(), lr=self.hparams.learning_rate, momentum=self.hparams.momentum)
