"""The real NVIDIA Triton server on any x86-64 CPU machine: `python docker/triton/serve.py` (`make triton`).

The server's binaries come from the PyPI wheel nvidia-pytriton; the backend that runs the ONNX files is the one beside
this file. Both, and an interpreter for the backend, are put into one folder (`--prefix`, .cache/triton) once. Then this
process becomes tritonserver, so that it receives the signals itself. Standard library only.
"""

import argparse
import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WHEEL = "nvidia-pytriton==0.7.0"
"""Holds Triton 2.51 (NGC 24.10)."""
HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
LIBPYTHON = "libpython3.11.so.1.0"


class Unsupported(Exception):
    """This machine cannot run the wheel's server; the message says what is missing."""


def check_machine() -> None:
    libc, version = platform.libc_ver()
    if sys.platform != "linux" or platform.machine() != "x86_64" or libc != "glibc":
        raise Unsupported(f"the Triton wheel is for x86-64 Linux with glibc; this is {platform.platform()}")
    if tuple(map(int, version.split("."))) < (2, 35):
        raise Unsupported(f"the Triton wheel needs glibc 2.35 or newer; this machine has {version}")
    if sys.version_info[:2] != (3, 11):
        raise Unsupported(f"run this with Python 3.11, not {platform.python_version()}: its packages are pinned for it")


def python_with_library() -> tuple[str, Path]:
    """An interpreter and its shared library, which Triton's stub links against: this Python's own, or Debian's."""
    ask = "import sysconfig as s; print(s.get_config_var('LIBDIR'), s.get_config_var('MULTIARCH') or '', sep='\\n')"
    for python in (f"{sys.base_prefix}/bin/python3.11", "/usr/bin/python3.11"):
        if not Path(python).exists():
            continue
        folder, architecture = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for library in (Path(folder) / LIBPYTHON, Path(folder) / architecture / LIBPYTHON):
            if library.exists():
                return python, library.resolve()
    raise Unsupported(
        f"no {LIBPYTHON}: Triton's Python backend needs Python as a shared library. "
        "On Debian and Ubuntu: apt-get install libpython3.11; with pyenv: build with --enable-shared"
    )


@contextmanager
def locked(prefix: Path) -> Iterator[None]:
    """Only one process prepares a prefix; the others wait and find it ready."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with open(prefix.with_name(prefix.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack_server(wheel: Path, target: Path) -> None:
    """bin/, lib/ and backends/ as in NVIDIA's image, from what of the wheel Python 3.11 needs, and licenses/."""
    places = {
        "pytriton/tritonserver/bin/": target / "bin",
        "pytriton/tritonserver/backends/python/": target / "backends/python",
        "pytriton/tritonserver/python_backend_stubs/3.11/": target / "backends/python",
        "nvidia_pytriton.libs/": target / "lib",
        f"{WHEEL.replace('-', '_').replace('==', '-')}.dist-info/licenses/": target / "licenses",
    }
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, file_name = name.rpartition("/")
            place = places.get(folder + "/")
            if place is None or not file_name or file_name.startswith("libpython"):
                continue
            place.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(place / file_name, "wb") as copy:
                shutil.copyfileobj(source, copy)
            (place / file_name).chmod(0o755)


def build(target: Path, python: str, library: Path) -> None:
    """Everything but the backend's own source: the server, and a virtual environment with its packages."""
    pip = [sys.executable, "-m", "pip"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, "download", *quiet, "--no-deps", "--dest", folder, WHEEL], check=True)
        unpack_server(next(Path(folder).glob("*.whl")), target)
    (target / "lib" / LIBPYTHON).symlink_to(library)
    subprocess.run([python, "-m", "venv", "--without-pip", str(target / "venv")], check=True)
    install = ["install", *quiet, "--no-deps", "--requirement", str(HERE / "requirements.txt")]
    subprocess.run([*pip, "--python", str(target / "venv/bin/python"), *install], check=True)


def prepare(prefix: Path) -> None:
    """Make the prefix if it is missing or made of other parts; replace it only when the new one is complete."""
    check_machine()
    python, library = python_with_library()
    recipe = "\n".join((WHEEL, python, str(library), (HERE / "requirements.txt").read_text()))
    with locked(prefix):
        stamp = prefix / "recipe"
        if not stamp.exists() or stamp.read_text() != recipe:
            sys.stderr.write(f"preparing Triton in {prefix} (once; a download of about 90 MB)\n")
            fresh = prefix.with_name(prefix.name + ".new")
            shutil.rmtree(fresh, ignore_errors=True)
            build(fresh, python, library)
            (fresh / "recipe").write_text(recipe)
            shutil.rmtree(prefix, ignore_errors=True)
            fresh.rename(prefix)
        backend = prefix / "backends/onnxruntime"
        backend.mkdir(exist_ok=True)
        shutil.copyfile(HERE / "onnxruntime/model.py", backend / "model.py")


def server_environment(prefix: Path) -> dict[str, str]:
    """The stub finds its packages through the first python3 on PATH; no GPU, so that KIND_AUTO means the CPU."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = f"{prefix / 'venv/bin'}:{os.environ.get('PATH', os.defpath)}"
    environment["LD_LIBRARY_PATH"] = str(prefix / "lib")
    environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment


def server_command(prefix: Path, options: argparse.Namespace) -> list[str]:
    command = [
        str(prefix / "bin/tritonserver"),
        f"--model-repository={options.model_repository}",
        f"--backend-directory={prefix / 'backends'}",
        "--allow-gpu-metrics=false",
        f"--exit-timeout-secs={options.exit_timeout_s}",
    ]
    for service in ("http", "grpc", "metrics"):
        command += [f"--{service}-address={options.host}", f"--{service}-port={getattr(options, service + '_port')}"]
    return command


def parse_arguments() -> argparse.Namespace:
    def environment(name: str, default: object) -> object:
        return os.environ.get(f"TRITON_{name}") or default

    parser = argparse.ArgumentParser(description="Serve model_repository/ with the real Triton server, on the CPU.")
    parser.add_argument(
        "--model-repository", type=Path, default=environment("MODEL_REPOSITORY", CHECKOUT / "model_repository")
    )
    parser.add_argument("--host", default=environment("HOST", "127.0.0.1"), help="address to listen on")
    parser.add_argument("--http-port", type=int, default=environment("HTTP_PORT", 8000))
    parser.add_argument("--grpc-port", type=int, default=environment("GRPC_PORT", 8001))
    parser.add_argument("--metrics-port", type=int, default=environment("METRICS_PORT", 8002))
    parser.add_argument("--exit-timeout-s", type=int, default=30, help="time for running requests after SIGTERM")
    parser.add_argument("--prefix", type=Path, default=CHECKOUT / ".cache/triton", help="where the server is kept")
    parser.add_argument("--prepare-only", action="store_true", help="fetch and unpack, then exit")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    prefix = options.prefix.resolve()
    try:
        prepare(prefix)
    except Unsupported as reason:
        sys.stderr.write(f"error: {reason}\n")
        sys.exit(os.EX_UNAVAILABLE)
    except subprocess.CalledProcessError as failure:
        sys.exit(f"error: {' '.join(map(str, failure.cmd))} failed; see above")
    if options.prepare_only:
        return
    if not options.model_repository.is_dir():
        sys.exit(f"error: no model repository in {options.model_repository}; make one with python -m export")
    command = server_command(prefix, options)
    os.execve(command[0], command, server_environment(prefix))


if __name__ == "__main__":
    main()
