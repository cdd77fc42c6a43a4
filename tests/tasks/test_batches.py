import subprocess
import sys

import torch

from litune.tasks.batches import Batches

RANK = """
import sys, torch
from litune.tasks.batches import Batches
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=int(sys.argv[1]), world_size=2)
torch.manual_seed(3)
batches = Batches(torch.arange(21), batch_size=4, shuffle=True)
found = [rows.tolist() for (rows,) in batches]
assert len(found) == len(batches) == 3
print(*[row for rows in found for row in rows])
"""


def test_batches_hold_every_row_once_and_keep_images_with_their_labels():
    rows = torch.arange(103)
    for shuffle in (False, True):
        batches = Batches(rows.float(), rows, batch_size=10, shuffle=shuffle)
        found = list(batches)
        assert len(found) == len(batches) == 11
        assert [len(images) for images, _ in found] == [10] * 10 + [3]
        assert all(torch.equal(images, labels.float()) for images, labels in found)
        everything = torch.cat([labels for _, labels in found])
        assert torch.equal(everything, rows) is not shuffle
        assert torch.equal(everything.sort().values, rows)


def test_the_order_of_shuffled_batches_is_the_seeds_and_new_each_epoch():
    batches = Batches(torch.arange(50), batch_size=7, shuffle=True)

    def epoch():
        return torch.cat([rows for (rows,) in batches]).tolist()

    torch.manual_seed(3)
    first, second = epoch(), epoch()
    torch.manual_seed(3)
    assert epoch() == first
    assert second != first


def test_two_ranks_share_the_rows_of_an_epoch(tmp_path):
    words = [sys.executable, "-W", "ignore", "-c", RANK]
    ranks = [
        subprocess.Popen([*words, str(rank), str(tmp_path / "meeting")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    first, second = (sorted(map(int, rank.communicate(timeout=60)[0].split())) for rank in ranks)
    assert len(first) == len(second) == 11  # one row of 21 twice, so that both ranks have as many
    assert set(first) | set(second) == set(range(21))
