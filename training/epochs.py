"""What Lightning keeps of the epochs of a run, under the names that runs go on from."""

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint

BEST, LAST = "best.ckpt", "last.ckpt"


def keep_last(folder: Path) -> ModelCheckpoint:
    """LAST in `folder`, written anew after every epoch. Lightning's own `save_last` writes it where there was another
    checkpoint to write: after epochs that were the best so far, or never."""
    return ModelCheckpoint(
        folder, Path(LAST).stem, save_top_k=1, save_on_train_epoch_end=True, enable_version_counter=False
    )


def keep_best(folder: Path, selection: str) -> ModelCheckpoint:
    """BEST in `folder`, of the epoch whose logged `selection` is least. To be given to a trainer before `keep_last`:
    the first is its `checkpoint_callback`."""
    return ModelCheckpoint(
        folder, Path(BEST).stem, selection, save_on_train_epoch_end=True, enable_version_counter=False
    )
