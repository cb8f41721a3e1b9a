"""What every part of the project shares, free of torch: regions, tensor contract, video, faces, ranking, errors."""
