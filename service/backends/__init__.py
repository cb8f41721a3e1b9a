"""Where the graphs run: `inprocess` (ONNX Runtime here) or `triton` (a server, by gRPC), behind one seam."""

from service.backends.base import Backend
from service.backends.watched import Watched
from service.settings import Settings


def create_backend(settings: Settings) -> Backend:
    """The backend that the settings ask for. Raises BackendError where it cannot serve (wrong contract, no GPU)."""
    if settings.backend == "triton":
        from service.backends.triton import TritonBackend

        return Watched(TritonBackend(settings.triton_url, settings.triton_device))
    from service.backends.inprocess import InProcessBackend

    return Watched(InProcessBackend(settings.model_repository, settings.device))
