"""What all tests of training share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread_each() -> None:
    """As the commands do: shards run side by side, and teams of threads would spin for each other's cores."""
    torch.set_num_threads(1)
