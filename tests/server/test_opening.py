"""One embedded store, one server."""

import subprocess
import sys
from pathlib import Path

import pytest

from postroom.server import opening
from postroom.server.configuration import ConfigurationError, Settings

HOLD = (
    "import sys; from postroom.server import opening; from postroom.server.configuration import Settings;"
    " opening.serve_alone(Settings(data=sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_server_is_refused_and_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ConfigurationError, match="already serves"):
        opening.serve_alone(settings)
    holder.kill()
    holder.communicate()
    opening.serve_alone(settings)
