"""`python -m bench`: measure Postroom beside its peers and print raw figures of both, with their ratio.

    python -m bench                        all parts, about ten minutes
    python -m bench api imap --quick       some parts, smaller amounts (for trying the bench itself; ratios are rougher)
    python -m bench --side peers           the peers alone
    python -m bench --json figures.json    also write every sample as JSON

Everything listens on 127.0.0.1 and lives in one temporary folder, and is stopped and removed at the end, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import figures, machine
from bench.parts import api, backlog, imap, inbound, memory, operations, sending, strangers
from bench.plan import Plan
from bench.programs import BenchError

PARTS = {
    "api": api.measure,
    "operations": operations.measure,
    "inbound": inbound.measure,
    "strangers": strangers.measure,
    "sending": sending.measure,
    "backlog": backlog.measure,
    "imap": imap.measure,
    "memory": memory.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts named on the command line; give 0 when every side that could run did."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine.raise_descriptor_limit(20_000)
    folder = Path(tempfile.mkdtemp(prefix="postroom-bench-", dir=options.folder))
    folder.chmod(0o755)
    plan = Plan(folder, options.side != "peers", options.side != "postroom", options.runs, options.quick)
    about = machine.describe(folder)
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    started = time.monotonic()
    failed = False
    measured = []
    try:
        for name in options.parts or list(PARTS):
            begun = time.monotonic()
            try:
                measured.append(PARTS[name](plan))
                print(f"{figures.table(measured[-1])}\n   ({time.monotonic() - begun:.0f} s)", flush=True)
            except BenchError as failure:
                failed = True
                print(f"\n== {name} ==\n   failed: {failure}", flush=True)
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\ntook {time.monotonic() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(figures.document(measured, about), indent=1) + "\n")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="part", choices=[*PARTS, []], help=f"one or more of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument("--side", choices=("both", "postroom", "peers"), default="both", help="measure one side only")
    parser.add_argument("--runs", type=int, default=3, help="samples of each figure, of which the median counts (default 3)")
    parser.add_argument("--quick", action="store_true", help="smaller amounts")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    parser.add_argument(
        "--folder", type=Path, default=Path(os.environ.get("TMPDIR", "/tmp")), help="where the data of both sides lie; a real disk"
    )
    parser.add_argument("--keep", action="store_true", help="do not remove the data at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
