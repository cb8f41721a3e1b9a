"""What a run of the backbone's training is made of."""

from dataclasses import dataclass

from training import augment


@dataclass(frozen=True)
class Plan:
    """What a run is made of.

    Attributes:
        images: training images to see, repeats counted; seconds: processor time of each shard to spend from the last
            resumption on instead, where not None.
        rate, kernel_rate: at their highest, of AdamW and, for all kernels but the first convolution's, of Muon.
            In 3,200 views of 64 px from released convolutions, Muon at 1e-3 came to 7.37 years and 87.4 % on validation
            stills, AdamW alone to 7.68 and 86.6.
        warm_up, cool_down: shares of the run in which the learning rate rises and falls; a run that is still on the
            plateau between them can be given more time without loss.
        sizes: (share of the run from which on, side of the crops in px).
        degraded: share of the training views that lose more than framing and light (training.augment).
        balance: exponent of the inverse frequency of a still's age band and gender in the sampling; 0 leaves the
            data as they are, 1 makes every band equal. Compared once for heads on the same convolutions, validation
            stills: with 0 4.68 years (mean over decades 5.16, ages 0.4 too high), with 0.2 4.71 (5.13, 0.6), with 0.4
            4.78 (5.13, 0.8).
        age_spread: (at birth, per year) of the standard deviation of the label distribution, years.
        mixed: share of the images that another one of the batch is laid over, until `mixed_until` of the run.
        beta: both parameters of the distribution of the other's share, which is at most a half.
        averaging: decay of the weight average per step.
    """

    images: int = 400_000
    seconds: float | None = None
    batch: int = 32
    rate: float = 4e-4
    kernel_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.04
    cool_down: float = 0.8
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64), (0.5, 80), (0.75, 96))
    degraded: float = augment.DEGRADED
    balance: float = 0.2
    age_spread: tuple[float, float] = (1.0, 0.04)
    age_error_weight: float = 0.1
    gender_weight: float = 1.5
    gender_smoothing: float = 0.05
    mixed: float = 0.7
    mixed_until: float = 0.85
    beta: float = 1.0
    averaging: float = 0.99
    clip: float = 5.0
    seed: int = 2018

    def size(self, progress: float) -> int:
        """Side of the crops once `progress` (0-1) of the run is done."""
        return next(size for start, size in reversed(self.sizes) if progress >= start)

    def schedule(self, progress: float) -> float:
        """Share of the highest rates: linear rise, plateau, linear fall to nothing."""
        return min(1.0, 0.05 + progress / self.warm_up, max(0.0, 1 - progress) / self.cool_down)
