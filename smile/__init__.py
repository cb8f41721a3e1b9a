"""What every part of the project shares, free of torch: regions, tensor contract, video, faces, ranking, errors."""

__version__ = "0.1.0"
