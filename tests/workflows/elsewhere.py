"""A user's own folder and virtual environment, into which packages are installed."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path


class Elsewhere:
    """A folder and a virtual environment of a user; the environment sees this one's libraries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.call(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
        site = next((folder / "venv").glob("lib/python*/site-packages"))
        ours = sysconfig.get_path("purelib")
        # addsitedir also reads .pth files there, by which an editable installation is found.
        (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    def call(self, *words: str, expect: int = 0, within: str = "") -> str:
        """Run a command there, or in a folder `within`, and return what it said."""
        environment = {name: os.environ[name] for name in ("PATH", "XDG_CACHE_HOME")}
        done = subprocess.run(
            words,
            cwd=self.folder / within,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def nodegraph(self, *words: str, expect: int = 0) -> str:
        """Run our command line in that environment."""
        return self.call(str(self.python), "-m", "nodegraph.cli", *words, expect=expect)

    def install(self, source: Path) -> None:
        """Build a wheel of a project and install it, without the network."""
        wheels = str(self.folder / f"wheels-{source.name}")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        offline = ("--no-deps", "--no-index")
        self.call(*pip, "wheel", "-q", *offline, "--no-build-isolation", "-w", wheels, str(source))
        (wheel,) = Path(wheels).iterdir()
        self.call(*pip, "--python", str(self.python), "install", "-q", *offline, str(wheel))
