"""Clips on the threads of one process; `service.reader` has the way of the data through one of them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, TypeVar

from service.backends.base import Backend, both_models
from service.executor import Executor
from service.progress import Progress
from service.reader import Reader
from service.reading import MASKS, Reading, Seen
from service.schemas import Networks
from smile.decoding import Limits
from smile.recording import Recording

Result = TypeVar("Result")


class Pipeline:
    """Runs clips on a backend, at most `concurrency` at once."""

    def __init__(self, backend: Backend, limits: Limits, concurrency: int) -> None:
        self._backend = backend
        self._limits = limits
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="clip")

    async def read(
        self,
        clip: BinaryIO,
        *,
        mirrored: bool = False,
        explain: bool = False,
        picture: bool = False,
        siam: bool = False,
        recording: Recording | None = None,
        progress: Progress | None = None,
    ) -> Reading:
        """Read one clip.

        Args:
            clip: seekable file; not closed here.
            mirrored: the clip shows its subject as in a mirror; the faces are turned back before the network sees them.
            explain: also measure what zeroing each region and each pair does.
            picture: also keep what figures are drawn from.
            siam: also let SIAM read it.
            recording: gathers what the film of the clip is drawn from.
            progress: follows the clip while it is read.

        Raises:
            SmileError: the clip cannot be answered.
            BackendError: the graphs cannot be executed.
            CancelledError: the task was cancelled; the work stops within one block, and waits for no graph.
        """
        executor = Executor(self._backend, asyncio.get_running_loop())
        model, other = await both_models(self._backend) if siam else (await self._backend.model(), None)
        reader = Reader(
            model=model,
            siam=other,
            executor=executor,
            limits=self._limits,
            mirrored=mirrored,
            masks=MASKS if explain else MASKS[:1],
            picture=picture,
            recording=recording,
            progress=progress,
        )
        return await self.run(partial(reader.read, clip), executor.cancel)

    async def read_by(
        self,
        network: Networks,
        clip: BinaryIO,
        *,
        mirrored: bool = False,
        explain: bool = False,
        picture: bool = False,
        progress: Progress | None = None,
    ) -> Seen:
        """Let a network read one clip: a Reading where the first one has a part in it. Otherwise as `read`.

        Raises:
            NotServed: SIAM is not there, or cannot read a clip together with the first network.
        """
        if network == "siam":
            return await self._read_siam(clip, mirrored, picture, progress)
        return await self.read(
            clip, mirrored=mirrored, explain=explain, picture=picture, siam=network == "both", progress=progress
        )

    async def _read_siam(self, clip: BinaryIO, mirrored: bool, picture: bool, progress: Progress | None) -> Seen:
        executor = Executor(self._backend, asyncio.get_running_loop())
        model = await self._backend.model("siam")
        reader = Reader(
            model=model,
            siam=model,
            executor=executor,
            limits=self._limits,
            mirrored=mirrored,
            picture=picture,
            progress=progress,
        )
        return await self.run(partial(reader.read_siam, clip), executor.cancel)

    async def run(self, work: Callable[[], Result], cancel: Callable[[], None]) -> Result:
        """Do some work on a thread of the pipeline; where the task is cancelled, call `cancel` and await its end."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
