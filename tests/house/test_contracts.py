"""The contracts of the house: imports, documentation of standards, the words of the README."""

import ast
import contextlib
import io
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from postroom.server import cli

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "postroom"
MODULES = sorted(SOURCE.rglob("*.py"))
CITED = re.compile(r"\bRFC ?(\d{4,5})\b")
BANNED_NAMES = re.compile(r"(^|_)(managers?|helpers?|utils?|common|base|services?)$")


def name_of(module: Path) -> str:
    return module.relative_to(SOURCE).with_suffix("").as_posix()


def test_imports_keep_to_the_floors():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kept, 0 broken" in done.stdout


def test_a_running_program_imports_no_client_that_it_was_not_told_to_use():
    program = "import sys, postroom.server.wiring, postroom.server.program; print([name for name in ('botocore', 'boto3', 'acme', 'josepy', 'requests', 'OpenSSL') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def standards() -> dict[str, tuple[str, list[str]]]:
    """Read docs/standards.md: number to (state, modules)."""
    rows = re.findall(r"^\| RFC (\d+) \| [^|]+ \| (\w+) \| [^|]* \| ([^|]*) \|$", (ROOT / "docs" / "standards.md").read_text(), re.MULTILINE)
    return {number: (state, re.findall(r"`([^`]+)`", modules)) for number, state, modules in rows}


def test_every_cited_standard_is_listed_and_every_listed_one_is_cited():
    cited = {number for module in MODULES for number in CITED.findall(module.read_text())}
    listed = standards()
    assert sorted(cited ^ listed.keys()) == []
    assert {state for state, _ in listed.values()} <= {"yes", "partly", "no"}


def test_the_modules_named_beside_a_standard_cite_it():
    wrong = [
        (number, module)
        for number, (_, modules) in standards().items()
        for module in modules
        if not (SOURCE / f"{module}.py").exists() or number not in CITED.findall((SOURCE / f"{module}.py").read_text())
    ]
    assert wrong == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_says_what_it_is(module):
    tree = ast.parse(module.read_text())
    assert ast.get_docstring(tree), "no docstring"
    assert not BANNED_NAMES.search(module.stem)
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", module.read_text())


def test_sql_stands_in_the_storage_alone():
    sql = re.compile(r"""["'](SELECT .*\bFROM|SELECT 1|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE)\b""")
    allowed = re.compile(r"^storage/")
    found = [name_of(module) for module in MODULES if not allowed.match(name_of(module)) and sql.search(module.read_text())]
    assert found == []


def test_async_stands_where_sockets_are():
    allowed = re.compile(r"^(protocols/\w+/server|mailflow/(resolver|screening|filters/\w+|outbound/\w+)|policy/(authenticator|bearers)|storage/\w+|api/\w+|server/.*)$")
    found = [
        name_of(module)
        for module in MODULES
        if not allowed.match(name_of(module)) and any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(ast.parse(module.read_text())))
    ]
    assert found == []


def test_the_readme_holds_the_example_as_it_is():
    assert (ROOT / "examples" / "first_letter.py").read_text() in (ROOT / "README.md").read_text()


def test_every_command_the_documents_name_exists():
    texts = "\n".join(path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4})make ([\w-]+)", texts, re.MULTILINE)) <= targets
    verbs = set(re.findall(r"(?:`|^ {4}|bin/)postroom (\w+)", texts, re.MULTILINE))
    assert {"serve", "demo", "keys", "users", "check"} <= verbs
    for verb in verbs:
        with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
            cli.main([verb, "--help"])
        assert ended.value.code == 0, verb


def test_every_file_the_documents_link_exists():
    missing = [
        (page.name, target)
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert missing == []


def test_the_compatibility_page_lists_the_operations_there_are():
    from postroom.api import operations
    from postroom.api.operation import OPERATIONS

    operations.enter_all()
    table = (ROOT / "docs" / "compatibility.md").read_text().partition("## Operations")[2].partition("These are all")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(OPERATIONS)


def test_locked_dependencies_are_pinned_by_hash_and_name_no_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name in ("run", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        packages = re.findall(r"^([a-z0-9-]+)==[^\s]+ .*\\$", text, re.MULTILINE)
        assert text.count("--hash=sha256:") >= len(packages) > 15
        assert not re.search(r"https?:|file:|@ |^-", text, re.MULTILINE)
        wanted = {re.split(r"[\[<>=; ]", line)[0].lower() for line in project["project"]["dependencies"]}
        assert wanted <= set(packages)


def test_every_package_that_the_program_imports_is_declared():
    modules = {"apsw": "apsw-sqlite3mc", "argon2": "argon2-cffi", "dns": "dnspython", "prometheus_client": "prometheus-client"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["postgres"]
    declared = {re.split(r"[\[<>=; ]", line)[0].lower() for line in lines}
    imported = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            imported |= {name.partition(".")[0] for name in names}
    foreign = imported - set(sys.stdlib_module_names) - {"postroom", "_typeshed"}
    assert {modules.get(name, name) for name in foreign} <= declared
