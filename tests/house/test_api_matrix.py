"""docs/api.md says what there is, and every operation's effect is shown somewhere."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import document_api  # noqa: E402

from postroom.api.model import load  # noqa: E402


def test_the_page_is_up_to_date():
    assert document_api.PAGE.read_text() == document_api.page(), "run tools/document_api.py"


def test_every_operation_is_there_and_shown():
    shown = document_api.effects()
    assert sorted(set(load().operations) - set(document_api.OPERATIONS)) == []
    assert sorted(set(load().operations) ^ set(shown)) == []


def test_marks_are_found_wherever_they_stand():
    text = "pytestmark = pytest.mark.effect('A')\n@pytest.mark.effect('B', 'C')\ndef test(): ...\n"
    assert list(document_api.marks(ast.parse(text))) == ["A", "B", "C"]
