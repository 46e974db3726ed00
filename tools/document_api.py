"""Write docs/api.md from the service model, the operations there are and the tests marked as showing an effect (`--check` only compares).

A test says what it shows with `@pytest.mark.effect("CreateUser", ...)`, on a function, a class or as the module's `pytestmark`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from postroom.api import operations
from postroom.api.model import OperationModel, load
from postroom.api.operation import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
PREFACE = """\
# The operations of the WorkMail API

Made by `tools/document_api.py` from botocore's service model, the code and the tests.

*State* is `yes` for an operation that is there with its effect. *Answers* says whether it changes something (`writes`), comes in pages,
or takes a client token. *Shown in* names the tests in which a client that is not ours (boto3, the AWS CLI, imapclient, smtplib, swaks,
mbsync, mutt) sees what the operation did; beside them every operation is held against the model (`tests/api`), and random sequences
of operations against a second statement of the rules (`tests/rules`). What differs from Amazon WorkMail is in
[compatibility.md](compatibility.md).

"""


def page() -> str:
    """Write the page."""
    operations.enter_all()
    shown = effects()
    model = load().operations
    rows = [_row(name, model[name], shown.get(name, [])) for name in sorted(model)]
    count = sum(name in OPERATIONS for name in model)
    head = f"{count} of {len(model)} operations.\n\n| operation | state | answers | shown in |\n| --- | --- | --- | --- |\n"
    return PREFACE + head + "\n".join(rows) + "\n"


def effects() -> dict[str, list[str]]:
    """Find, by operation, the files whose tests are marked as showing its effect."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        text = file.read_text()
        for name in marks(ast.parse(text)) if "mark.effect" in text else ():
            found.setdefault(name, set()).add(file.relative_to(ROOT).as_posix())
    return {name: sorted(files) for name, files in found.items()}


def marks(tree: ast.AST) -> Iterator[str]:
    """List the operations named in marks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "effect":
            yield from (str(ast.literal_eval(argument)) for argument in node.args)


def _row(name: str, model: OperationModel, files: list[str]) -> str:
    entry = OPERATIONS.get(name)
    kinds = [
        "writes" if entry is not None and entry.writes else "reads",
        *(["pages"] if model.paged else []),
        *(["token"] if model.idempotent else []),
    ]
    links = ", ".join(f"[{Path(file).stem.removeprefix('test_')}](../{file})" for file in files)
    return f"| `{name}` | {'yes' if entry is not None else 'no'} | {', '.join(kinds)} | {links} |"


def main() -> int:
    """Write the page, or say whether it is as it would be written."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
