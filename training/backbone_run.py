"""One run of the backbone's training: a step, and all that an interrupted run needs to go on."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from networks import checkpoint
from training import precision
from training.backbone_plan import Plan
from training.muon import Muon
from training.run_config import ConfigError
from training.still_loss import Labels, loss, mix
from training.still_network import HEAD, StillNetwork, load_head, unfold
from training.whole import whole

SCRATCH = "from scratch"
LENGTH = ("images", "seconds")
"""Of a plan, what may differ where an unfinished run goes on."""


@dataclass
class Run:
    """A run in progress; `save` and `resume` keep all of it.

    Attributes:
        network, average: as trained, and the exponential average of its weights and statistics.
        replicas, pool: the network again with statistics of its own, one for each further shard of a batch, and the
            threads that work on them. One torch thread for each shard is twice as fast as two torch threads for the
            batch wherever the cores are not ours alone: shards wait for each other once in a step, not in every layer.
        seen: training images so far. before: those that the weights it began with are known to have seen. begun: with
            which weights, in words. licence: of those; None where they tell none. progress: share of the run that is
            done. elapsed: seconds of wall time.
    """

    plan: Plan
    network: StillNetwork
    average: StillNetwork
    optimisers: tuple[torch.optim.Optimizer, ...]
    replicas: list[StillNetwork]
    pool: ThreadPoolExecutor
    seen: int = 0
    before: int = 0
    begun: str = SCRATCH
    licence: str | None = None
    progress: float = 0.0
    elapsed: float = 0.0

    @classmethod
    def start(cls, plan: Plan, device: torch.device, shards: int = 1) -> "Run":
        torch.manual_seed(plan.seed)
        network = StillNetwork().to(device)
        pool = ThreadPoolExecutor(shards)
        network.train()
        replicas = [_replica(network) for _ in range(shards - 1)]
        return cls(plan, network, copy.deepcopy(network), _optimisers(network, plan, pool), replicas, pool)

    def save(self, path: Path) -> None:
        """Write everything, in one step as far as anybody reading can tell."""
        state = {
            "plan": asdict(self.plan),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "random": torch.get_rng_state(),
            "random_on_gpu": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
            "seen": self.seen,
            "before": self.before,
            "begun": self.begun,
            "licence": self.licence,
            "progress": self.progress,
            "elapsed": self.elapsed,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:
            torch.save(state, file)

    def resume(self, path: Path) -> None:
        """Go on from what `save` wrote; an unfinished run may be given another length.

        Raises:
            ConfigError: it is of another plan, or has ended at another length.
        """
        state = torch.load(path, map_location=self._device, weights_only=True)
        ended = state["progress"] >= 1
        before, now = (json.loads(json.dumps(plan)) for plan in (state["plan"], asdict(self.plan)))
        length = () if ended else LENGTH
        differing = [name for name in now if name not in length and before.get(name) != now[name]]
        if differing:
            what = f"a finished run of {state['seen']:,} images" if ended else "an unfinished run"
            raise ConfigError(f"{path.parent} holds {what}, {', '.join(differing)} differ: choose another folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._copy_to_replicas()
        for optimiser, found in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(found)
        torch.set_rng_state(state["random"].cpu())
        if self._device.type == "cuda" and state.get("random_on_gpu") is not None:  # runs of before did not keep it
            torch.cuda.set_rng_state(state["random_on_gpu"].cpu(), self._device)
        self.seen, self.before, self.begun = state["seen"], state["before"], state["begun"]
        self.licence = state.get("licence")  # runs of before did not keep it
        self.progress, self.elapsed = state["progress"], state["elapsed"]

    def warm_start(self, path: Path, frames: Tensor) -> bool:
        """Take the convolutions that another run saved or released and, where it is there, the head; nothing else.

        Args:
            path: its state.pt, or a checkpoint directory of a backbone (training.shipped makes one).
            frames: (N, S, S, 3) uint8 RGB training crops, by which the normalisation of a released backbone is found.

        Returns:
            Whether there was a head.
        """
        if path.is_dir():
            released = checkpoint.load_backbone(path)
            found = {f"layers.{name}": tensor for name, tensor in unfold(released, frames).layers.state_dict().items()}
            if (path / HEAD).exists():
                found |= {f"head.{name}": tensor for name, tensor in load_head(path / HEAD).state_dict().items()}
            provenance = json.loads((path / checkpoint.CONFIG).read_text(encoding="utf-8"))["provenance"]
            self.begun = provenance.get("begun", f"further from {released.config.source}")
            self.licence = provenance.get("licence")
            self.before = provenance.get("images_seen", 0) + provenance.get("images_seen_before", 0)
        else:
            state = torch.load(path, map_location=self._device, weights_only=True)
            found = state["average"]
            self.before, self.begun = state["seen"] + state["before"], state["begun"]
            self.licence = state.get("licence")
        for network in (self.network, self.average):
            network.load_state_dict(network.state_dict() | found)
        self._copy_to_replicas()
        return any(name.startswith("head.") for name in found)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _copy_to_replicas(self) -> None:
        for replica in self.replicas:
            replica.layers.load_state_dict(self.network.layers.state_dict())

    def step(self, frames: Tensor, age: Tensor, gender: Tensor) -> float:
        """One step of the optimisers and of the average; the loss."""
        for optimiser, rate in zip(self.optimisers, (self.plan.rate, self.plan.kernel_rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * self.plan.schedule(self.progress)
        self.network.zero_grad()
        labels = Labels.of(age, gender, self.plan)
        if self.progress < self.plan.mixed_until:
            frames, labels = mix(frames, labels, self.plan)
        value = self._gradients(frames, labels)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        for optimiser in self.optimisers:
            optimiser.step()
        self.seen += len(frames)
        steps = self.seen / len(frames)
        decay = min(self.plan.averaging, steps / (10 + steps))
        with torch.no_grad():
            for mean, now in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)
        return value

    def _gradients(self, frames: Tensor, labels: Labels) -> float:
        """Fill in the gradients of the loss, the shards of the batch side by side; the loss."""
        self.network.train()
        layers = [self.network, *self.replicas]
        maps = list(self.pool.map(_forward, layers, frames.chunk(len(layers))))
        joined = torch.cat([part.detach() for part in maps]).requires_grad_()
        with precision.autocast(frames.device.type):
            age_logits, gender_logits = self.network.head(joined)
        value = loss(age_logits, gender_logits, labels, self.plan)
        value.backward()
        assert joined.grad is not None
        shards = self.pool.map(_backward, layers, maps, joined.grad.chunk(len(layers)))
        for parameter, *parts in zip(self.network.layers.parameters(), *shards, strict=True):
            parameter.grad = torch.stack(parts).sum(dim=0)
        with torch.no_grad():
            for buffer, *others in zip(*(network.layers.buffers() for network in layers), strict=True):
                if buffer.is_floating_point():
                    buffer.copy_(torch.stack([buffer, *others]).mean(dim=0))
                    for other in others:
                        other.copy_(buffer)
        return float(value.detach())


def _optimisers(network: StillNetwork, plan: Plan, pool: ThreadPoolExecutor) -> tuple[torch.optim.Optimizer, ...]:
    """AdamW for the first convolution, the normalisation and the head; Muon for the other kernels."""
    kernels = [layer.weight for layer in network.layers if isinstance(layer, nn.Conv2d)][1:]
    taken = {id(kernel) for kernel in kernels}
    others = [parameter for parameter in network.parameters() if id(parameter) not in taken]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in others if parameter.ndim > 1]},
        {"params": [parameter for parameter in others if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return (
        torch.optim.AdamW(groups, lr=plan.rate, weight_decay=plan.weight_decay),
        Muon(kernels, plan.kernel_rate, plan.weight_decay, pool),
    )


def _replica(network: StillNetwork) -> StillNetwork:
    """A network with the same parameters and statistics of its own."""
    replica = copy.deepcopy(network)
    for own, shared in zip(replica.modules(), network.modules(), strict=True):
        own._parameters = shared._parameters
    return replica


def _forward(network: StillNetwork, frames: Tensor) -> Tensor:
    with precision.autocast(frames.device.type):
        return network.map(frames)


def _backward(network: StillNetwork, maps: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(maps, list(network.layers.parameters()), gradient)
