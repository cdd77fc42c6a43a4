"""Batches of data that fits in memory and needs no work a sample, at a fraction of DataLoader's cost."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, distributed

_GATHERED = 2048  # rows picked at once: one indexing for many batches, in little memory


class Batches:
    """Slices of tensors in memory; a shuffled one draws its order from torch's global generator, as DataLoader does.

    Lightning takes any iterable. With several devices (ddp) each rank sees its share, as of DistributedSampler.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, shuffle: bool = False) -> None:
        self._tensors, self._batch_size, self._shuffle = tensors, batch_size, shuffle

    def __len__(self) -> int:
        """Return the number of batches, the last of them perhaps smaller."""
        ranks = distributed.get_world_size() if distributed.is_initialized() else 1
        share = -(-len(self._tensors[0]) // ranks)
        return -(-share // self._batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        """Yield the batches of one epoch."""
        order = torch.randperm(len(self._tensors[0])) if self._shuffle else torch.arange(len(self._tensors[0]))
        if distributed.is_initialized():
            ranks = distributed.get_world_size()
            order = torch.cat([order, order[: -len(order) % ranks]])[distributed.get_rank() :: ranks]
        for rows in torch.split(order, self._batch_size * max(1, _GATHERED // self._batch_size)):
            gathered = [torch.split(tensor[rows], self._batch_size) for tensor in self._tensors]
            yield from map(list, zip(*gathered, strict=True))
