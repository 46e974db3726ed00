"""Pin every dependency with hashes into requirements/*.txt (make lock).

`dev.txt` is solved first, for everything at once; `run.txt` is the subset a running server needs, held to the same versions.
"""

import subprocess
import sys
from pathlib import Path

HEADER = "# Made by `make lock` from pyproject.toml. Do not edit.\n"
COMPILE = ("pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet")


def lock(root: Path, name: str, *arguments: str) -> None:
    """Write requirements/NAME.txt, keeping the versions that are still allowed."""
    target = root / "requirements" / f"{name}.txt"
    subprocess.run(
        ["uv", *COMPILE, "--output-file", str(target), *arguments, "pyproject.toml"], cwd=root, check=True, stdout=subprocess.DEVNULL
    )
    text = "".join(line for line in target.read_text().splitlines(keepends=True) if not line.startswith("#"))
    target.write_text(HEADER + text)


def main() -> int:
    """Lock both sets; arguments such as --upgrade go to uv."""
    root = Path(__file__).resolve().parent.parent
    lock(root, "dev", "--all-extras", "--group", "dev", *sys.argv[1:])
    lock(root, "run", "--constraint", "requirements/dev.txt", *sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
