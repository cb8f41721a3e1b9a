"""He initialisation: activations keep their size through any number of layers followed by ReLU."""

from torch import nn


def initialise_relu(layers: nn.Sequential) -> None:
    """He-normal weights and zero biases for the convolutions and linear layers directly in `layers`."""
    for module in layers:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
