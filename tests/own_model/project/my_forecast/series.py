"""A generated series, and windows of it with the value that follows."""

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class Waves(pl.LightningDataModule):
    def __init__(self, window: int = 12, length: int = 240, batch_size: int = 32) -> None:
        super().__init__()
        self.window, self.length, self.batch_size = window, length, batch_size

    def setup(self, stage: str) -> None:
        time = torch.arange(self.length + self.window, dtype=torch.float32)
        noise = torch.randn(len(time), generator=torch.Generator().manual_seed(1))
        series = torch.sin(time / 5) + 0.5 * torch.sin(time / 3) + 0.05 * noise
        windows = series.unfold(0, self.window + 1, 1)
        known, following = windows[:, :-1].unsqueeze(-1).contiguous(), windows[:, -1].contiguous()
        edge = int(0.8 * len(known))
        self.train, self.held_out = (
            TensorDataset(known[part], following[part]) for part in (slice(edge), slice(edge, None))
        )

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.held_out, batch_size=64)
