"""What README and the manual show runs as it stands, and prints what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import BEFORE, ENGINES, NOT_HERE, SHOWN, blocks, languages, name_of, pages
from tests.integration.test_examples import execute, notebook_of

PAGES = [page for page in pages() if blocks(page) and name_of(page) not in NOT_HERE]


def marked(page: Path) -> object:
    marks = [pytest.mark.engine, pytest.mark.timeout(180)] if name_of(page) in ENGINES else []
    return pytest.param(page, id=name_of(page), marks=marks)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_the_code_of_a_page_runs_and_prints_what_stands_there(page: Path, tmp_path: Path) -> None:
    shown = blocks(page)
    notebook = notebook_of(BEFORE.get(name_of(page), ""), *(block.code for block in shown))
    execute(notebook, tmp_path)
    for block, cell in zip(shown, notebook.cells[1:], strict=True):
        errors = [one["text"] for one in cell.outputs if one.get("name") == "stderr"]
        assert errors == [] or name_of(page) in ENGINES, block.code
        if block.prints is not None:
            printed = [one["text"] for one in cell.outputs if one.get("name") == "stdout"]
            assert "".join(printed) == block.prints, block.code


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_block_is_python_or_says_what_else_it_is(page: Path) -> None:
    directives = {language for language in languages(page) if language.startswith("{")}
    assert languages(page) - directives <= SHOWN | {"python"}


def test_the_pages_that_are_named_here_are_there() -> None:
    assert {*BEFORE, *NOT_HERE, *ENGINES} <= {name_of(page) for page in pages()}
