"""What a newcomer sees of `make run` when it cannot be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_an_index_out_of_reach_is_said_in_one_line(tmp_path: Path) -> None:
    for folder in ("tools", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "tools" / "bootstrap.py"), "run"],
        env=os.environ | {"PIP_INDEX_URL": "http://127.0.0.1:1/simple"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "http://127.0.0.1:1/simple/pip/ cannot be fetched" in done.stderr
    assert "Traceback" not in done.stderr
