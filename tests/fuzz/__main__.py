"""Fuzzes a reader, guided by the branches that inputs reach: `python -m tests.fuzz prompt`.

Inputs that reached something new are kept in a folder, from which the next call goes on; at the end
the branches are counted that all of them together reach. A finding ends it with code 1, and its
input stands in the folder as crash-...
"""

import argparse
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz.mutate import mutate_json
from tests.fuzz.targets import TARGETS, Target


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs (default: a million)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="where inputs are kept (default: nowhere)")
    parser.add_argument("--inner", choices=("fuzz", "count"), help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    if arguments.inner == "fuzz":
        _fuzz(target, arguments, arguments.scratch)  # which ends the process
    if arguments.inner == "count":
        _count(target, arguments.corpus, arguments.scratch)
        return 0
    with TemporaryDirectory(prefix="nodegraph-fuzz-") as scratch:
        corpus = (arguments.corpus or Path(scratch, "corpus")).absolute()
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = [sys.executable, "-m", "tests.fuzz", arguments.target, "--corpus", str(corpus)]
        words += ["--runs", str(arguments.runs), "--seed", str(arguments.seed)]
        environment = {**os.environ, "NODEGRAPH_CACHE": str(Path(scratch, "cache"))}
        codes: list[int] = []
        for inner in ("fuzz", "count"):
            place = Path(scratch, inner)
            place.mkdir()
            now = [*words, "--inner", inner, "--scratch", str(place)]
            codes.append(subprocess.run(now, env=environment, check=False).returncode)
        return 1 if any(codes) else 0


def _fuzz(target: Target, arguments: argparse.Namespace, scratch: Path) -> None:
    atheris: Any = import_module("atheris")  # without types
    with atheris.instrument_imports(include=["nodegraph", "probe", "prompt"]):
        call = target.prepare(scratch)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        return mutate_json(data, most, seed, atheris.Mutate, target.wrap)

    corpus = arguments.corpus
    words = [
        *(sys.argv[0], f"-runs={arguments.runs}", f"-seed={arguments.seed}"),
        *(f"-artifact_prefix={corpus}/", "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096"),
        *("-print_final_stats=1", "-verbosity=0", str(corpus)),
    ]
    atheris.Setup(words, call, custom_mutator=mutate)
    atheris.Fuzz()


def _count(target: Target, corpus: Path, scratch: Path) -> None:
    """Say which part of all branches the kept inputs reach."""
    from coverage import Coverage

    measured = Coverage(branch=True, include=list(map(str, target.files)), data_file=None)
    measured.start()
    call = target.prepare(scratch)
    inputs = [path for path in sorted(corpus.iterdir()) if not path.name.startswith("crash-")]
    for path in inputs:
        call(path.read_bytes())
    measured.stop()
    print(f"{len(inputs)} inputs:", flush=True)
    measured.report(show_missing=True)


if __name__ == "__main__":
    sys.exit(main())
