"""Temporary folders: gone with whoever made them, also where that was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

HOLD = "from nodegraph.writing import scratch_folder; import time; \
(scratch_folder() / 'big').write_text('x'); print(flush=True); time.sleep(60)"
LOOK = "from nodegraph.writing import scratch\nwith scratch() as made: assert made.is_dir()"


def test_a_later_process_removes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    others = tmp_path / "nodegraph-0123abcd-1-xyz"  # of another machine, with the same folder
    others.mkdir()
    (tmp_path / "nodegraph-mine").symlink_to("/")
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            held = set(tmp_path.iterdir())
            assert len(held) == 3
            subprocess.run([sys.executable, "-c", LOOK], env=environment, check=True)
            assert set(tmp_path.iterdir()) == held  # it is at work still
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
    assert set(tmp_path.iterdir()) == held
    subprocess.run([sys.executable, "-c", LOOK], env=environment, check=True)
    assert set(tmp_path.iterdir()) == {others, tmp_path / "nodegraph-mine"}
