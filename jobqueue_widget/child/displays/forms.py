"""Makes of an object the forms in which a cell shows it. Standard library only.

What fails is left out, and named in the job's log: the text is always there.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Mapping
from typing import Any

from .account import Bundle, say

TEXT = "text/plain"
FORMS = {
    "_repr_html_": "text/html",
    "_repr_markdown_": "text/markdown",
    "_repr_latex_": "text/latex",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
    "_repr_pdf_": "application/pdf",
    "_repr_json_": "application/json",
    "_repr_javascript_": "application/javascript",
}


def forms_of(
    one: Any, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> tuple[Bundle, Bundle] | None:
    """Return the forms of an object by mime type, and metadata; None: it has shown itself."""
    data: Bundle = {}
    metadata: Bundle = {}
    if not isinstance(one, type) and not _has_everything(one):
        if _shows_itself(one):
            return None
        _add_bundle(one, data, metadata, include, exclude)
        _add_forms(one, data, metadata)
        if is_figure(one) and "image/png" not in data:
            _add_picture(one, data)
    data.setdefault(TEXT, "")
    if not data[TEXT]:
        data[TEXT] = text_of(one)
    for name in [*data]:
        if (include and name not in include) or (exclude and name in exclude):
            del data[name]
        elif not _is_sound(name, data[name]):
            say(f"[{name} of {_name_of(one)} is no text, but {_name_of(data[name])}]")
            del data[name]
    return data, metadata


def text_of(one: Any) -> str:
    """Return what an object looks like as text, also of one whose `repr` fails."""
    try:
        return repr(one)
    except Exception as error:
        return f"<{_name_of(one)}: its repr failed: {type(error).__name__}>"


def _name_of(one: Any) -> str:
    return type(one).__name__


def _has_everything(one: Any) -> bool:
    """True for an object that has whatever attribute is asked for, as a mock or a proxy."""
    try:
        return hasattr(one, "_jobqueue_has_every_attribute_")
    except Exception:
        return True


def _is_sound(mime: str, form: Any) -> bool:
    if mime == "application/json" or mime.endswith("+json"):
        return True  # anything that JSON has
    return isinstance(form, (str, bytes)) or (
        isinstance(form, list) and all(isinstance(line, str) for line in form)
    )


def _call(one: Any, name: str, **options: Any) -> Any:
    """Return what a method gives; None if there is none or it fails, which the log says then."""
    try:
        method = getattr(one, name, None)
        return method(**options) if callable(method) else None
    except NotImplementedError:
        return None
    except Exception as error:
        say(f"[{name} of {_name_of(one)} failed: {type(error).__name__}: {error}]")
        return None


def _shows_itself(one: Any) -> bool:
    try:
        method = getattr(one, "_ipython_display_", None)
        if not callable(method):
            return False
        method()
    except NotImplementedError:
        return False
    except Exception as error:
        name = _name_of(one)
        say(f"[_ipython_display_ of {name} failed: {type(error).__name__}: {error}]")
        return False
    return True


def _add_bundle(
    one: Any,
    data: Bundle,
    metadata: Bundle,
    include: Collection[str] | None,
    exclude: Collection[str] | None,
) -> None:
    forms = _call(one, "_repr_mimebundle_", include=include, exclude=exclude)
    if isinstance(forms, tuple) and len(forms) == 2:
        forms, about = forms
        if isinstance(about, Mapping):
            metadata.update(about)
    if isinstance(forms, Mapping):
        data.update({str(name): form for name, form in forms.items() if form is not None})


def _add_forms(one: Any, data: Bundle, metadata: Bundle) -> None:
    for name, mime in FORMS.items():
        if mime in data:
            continue
        form = _call(one, name)
        if isinstance(form, tuple) and len(form) == 2:
            form, about = form
            if isinstance(about, Mapping) and about:
                metadata[mime] = dict(about)
        if form is not None:
            data[mime] = form


# -- figures of matplotlib, which is not imported for them -----------------------------------------


def is_figure(one: Any) -> bool:
    """True for a figure."""
    kind = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    return isinstance(kind, type) and isinstance(one, kind)


def _add_picture(figure: Any, data: Bundle) -> None:
    try:
        if figure.axes or figure.lines or figure.texts or figure.images:
            data["image/png"] = _png_of(figure)
    except Exception as error:
        say(f"[a figure could not be drawn: {type(error).__name__}: {error}]")


def _png_of(figure: Any) -> bytes:
    """Draw a figure as cells show it."""
    file = io.BytesIO()
    figure.canvas.print_figure(
        file,
        format="png",
        dpi=figure.dpi,
        facecolor=figure.get_facecolor(),
        edgecolor=figure.get_edgecolor(),
        bbox_inches="tight",
    )
    return file.getvalue()
