"""Local dynamics: the encoder phi_D, shared by the nine regions (P0 eq. 1; SPEC A2 rows 12-14)."""

import torch
from torch import Tensor, nn

from networks.config import NetworkConfig


class Dynamics(nn.Module):
    """Fc1 and two LSTM layers over the features of one region; d_i is the second layer's last valid step."""

    def __init__(self, features: int, config: NetworkConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, config.fc1)
        self.activation = nn.ReLU() if config.fc1_activation == "relu" else nn.Identity()
        self.fc1_dropout = nn.Dropout(config.fc1_dropout)
        self.lstm = nn.LSTM(config.fc1, config.lstm, num_layers=2, dropout=config.lstm_dropout)
        self.lstm_dropout = nn.Dropout(config.lstm_dropout)  # nn.LSTM drops between its layers only
        self._initialise(config)

    def forward(self, regions: Tensor, frame_count: Tensor, place: Tensor | None = None) -> Tensor:
        """Encode padded sequences; what lies beyond `frame_count` has no influence.

        Args:
            regions: (B, T, R, F) features, float16 or float32.
            frame_count: (B,) int64, valid instants of each sequence, 1 to T.
            place: (B, T) int64, where in `regions`, then (B, U, R, F), each instant is found; None for one after the
                other. Features of instants that look alike go through Fc1 once.

        Returns:
            (B, R, H) float32 d_i.
        """
        inputs = self.activation(self.fc1(regions.to(self.fc1.weight.dtype)))
        if place is not None:
            inputs = inputs.take_along_dim(place[:, :, None, None], dim=1)
        inputs = self.fc1_dropout(inputs)
        batch, steps, count, _ = inputs.shape
        states, _ = self.lstm(inputs.transpose(0, 1).reshape(steps, batch * count, self.lstm.input_size))
        states = states.reshape(steps, batch, count, self.lstm.hidden_size)
        last = (frame_count - 1).reshape(1, -1, 1, 1).expand(1, batch, count, self.lstm.hidden_size)
        return self.lstm_dropout(states.gather(0, last)[0])

    @torch.no_grad()
    def _initialise(self, config: NetworkConfig) -> None:
        """SPEC C3: orthogonal recurrent matrices, one for each gate, and a forget bias of 1.

        With `memory` each unit has its own time constant instead: forget biases are log U(1, memory - 1), input biases
        their negatives (chrono initialisation: Tallec and Ollivier 2018). Networks that began with a bias of 1 answer
        with the last instants above all.
        """
        nn.init.kaiming_normal_(self.fc1.weight, nonlinearity=config.fc1_activation)
        nn.init.zeros_(self.fc1.bias)
        size = self.lstm.hidden_size
        for layer in range(self.lstm.num_layers):
            nn.init.xavier_uniform_(getattr(self.lstm, f"weight_ih_l{layer}"))
            for gate in getattr(self.lstm, f"weight_hh_l{layer}").split(size):
                nn.init.orthogonal_(gate)
            nn.init.zeros_(getattr(self.lstm, f"bias_hh_l{layer}"))
            bias = nn.init.zeros_(getattr(self.lstm, f"bias_ih_l{layer}"))
            inputs, forget = bias[:size], bias[size : 2 * size]  # torch orders the gates input, forget, cell, output
            if config.memory:
                forget.uniform_(1.0, config.memory - 1.0).log_()
                inputs.copy_(-forget)
            else:
                forget.fill_(1.0)
