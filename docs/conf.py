"""How `make docs` makes the manual: from what stands in this tree, without a network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jobqueue_widget
from jobqueue_widget import errors, protocols, testing

ROOT = Path(__file__).parents[1]

project = "jobqueue_widget"
author = "jobqueue_widget developers"
copyright = author
version = release = jobqueue_widget.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"jobqueue_widget {version}"
html_theme_options = {"light_css_variables": {"code-font-size": "80%"}}
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 3
highlight_language = "text"
default_role = "code"  # docstrings mark names with one backtick, as Markdown does

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
napoleon_numpy_docstring = False

COLON = "\ue000"  # stands for one where napoleon must not see it

# Public names must lead somewhere; those of other packages, and what is private, do not.
PUBLIC = r"jobqueue_widget\.((errors|protocols|testing)\.)?[A-Za-z]\w*"
nitpick_ignore_regex = [("py:.*", rf"(?!{PUBLIC}$).*")]


def public_names() -> dict[str, str]:
    """Where each public class really is, and the name by which it is known."""
    names: dict[str, str] = {}
    for module in (jobqueue_widget, errors, protocols, testing):
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if isinstance(value, type):
                names.setdefault(f"{value.__module__}.{name}", f"{module.__name__}.{name}")
    return names


def find_public(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Lead a type in a signature to the place where the manual shows it."""
    public = PUBLIC_NAMES.get(node.get("reftarget"))
    if public is None or node["refdomain"] != "py":
        return None
    place = (node["refdoc"], app.builder, node["reftype"], public)
    return env.domains["py"].resolve_xref(env, *place, node, content)


def read_fences(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Give Sphinx the examples of docstrings, which are fenced as in Markdown, in its own words."""
    inside = False
    for number, line in enumerate(lines):
        if line.strip() == "```python":
            inside, lines[number] = True, line.replace("```python", ".. code-block:: python\n")
        elif line.strip() == "```":
            inside, lines[number] = False, ""
        elif inside:
            lines[number] = f"    {line}" if line.strip() else ""
    lines[:] = "\n".join(lines).split("\n")


def hide_colon(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking the words before a colon for the type of a property."""
    if what == "property" and lines:
        lines[0] = lines[0].replace(":", COLON)


def show_colon(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """And give it back."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def hide_making(app: Any, what: str, name: str, *rest: Any) -> tuple[str, str] | None:
    """A user never makes a job by its class: say nothing of its arguments."""
    return ("", "") if name == "jobqueue_widget.Job" else None


def read_notebook(app: Any, page: str, source: list[str]) -> None:
    """A page that names an example notebook is that notebook; it is shown, not run."""
    named = re.fullmatch(r"notebook: (\S+)\n", source[0])
    if named is None:
        return
    path = ROOT / "examples" / named[1]
    app.env.note_dependency(str(path))
    texts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        texts.append(f"```ipython\n{text}\n```" if cell["cell_type"] == "code" else text)
    source[0] = "\n\n".join(texts) + "\n"


def setup(app: Any) -> None:
    """What Sphinx calls first."""
    for hook in (read_fences, hide_colon):
        app.connect("autodoc-process-docstring", hook, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", show_colon, priority=600)
    app.connect("autodoc-process-signature", hide_making)
    app.connect("source-read", read_notebook)
    app.connect("missing-reference", find_public)


PUBLIC_NAMES = public_names()
