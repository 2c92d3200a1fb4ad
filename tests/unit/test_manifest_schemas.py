"""Our schemas are read as JSON Schema defines them; any fault is told in one short line."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue_widget.plugins.manifests import capabilities, manifest
from jobqueue_widget.plugins.manifests.schema import Schema

VARIABLE = {"name": "TOKEN", "secret": True, "default": None}
SURFACE = {"methods": [{"name": "run", "params": ["x"]}], "properties": ["name"]}
CODE = {"name": "one", "version": "1", "module": "m", "class": "C", "worker_env": [VARIABLE]}
RESOURCES = {"requires_gpu": True, "min_gpu_vram_mb": 1, "min_system_ram_mb": 0.5}
ADAPTER = {"task": "t", "module": "m", "class": "C"}
SUBJECTS: dict[str, tuple[Schema, dict[str, Any]]] = {
    "flat": (
        manifest.SCHEMA,
        {
            **CODE,
            "python_path": "/bin/python",
            "env_vars": {"A": "x"},
            "pass_env": ["B"],
            "resources": RESOURCES,
            "adapters": [ADAPTER],
            "structural_surface": SURFACE,
        },
    ),
    "nested": (
        manifest.NESTED_SCHEMA,
        {
            "format_version": "2.0",
            "install": {"python_path": "/bin/python", "env_vars": {"A": "x"}},
            "code": {**CODE, "resources": RESOURCES, "structural_surface": SURFACE},
        },
    ),
    "adapter": (
        capabilities.ADAPTER_SCHEMA,
        {"task_name": "t", "module": "m", "class": "C", "protocol_members": SURFACE},
    ),
}
ODD = (
    *("", "2.0", "A=B", "a\n", "x\0", "JPY_X", "..", "\ud800", "\u202e", "{x}", "{0}", "a.b[0]"),
    *("'\"\\", "name", "module", "params", "default", "x" * 5_000),
)
TEXTS = st.text(max_size=20) | st.sampled_from(ODD)
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1.0, 2.0, 10**4_000, -(10**400)])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def containers(value: Any) -> list[Any]:
    """Every object and array in a value, itself too."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [value] if isinstance(value, (dict, list)) else []
    return found + [one for part in inner for one in containers(part)]


@st.composite
def spoiled(draw: st.DrawFn, whole: dict[str, Any]) -> Any:
    """A valid one in which up to three members are others, gone or new."""
    changed = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        inside = draw(st.sampled_from(containers(changed)))
        if isinstance(inside, list):
            inside[:1] = draw(st.lists(VALUES, max_size=2))
        else:
            name = draw(st.sampled_from([*inside]) if inside and draw(st.booleans()) else TEXTS)
            inside.pop(name, None)
            if draw(st.integers(0, 3)):
                inside[name] = draw(VALUES)
    return draw(st.just(changed) | st.just(changed) | st.just(changed) | VALUES)


@pytest.fixture(scope="module")
def judges() -> dict[str, Any]:
    """The validators of another library, of the newest draft.

    Its `$` is that of Python, before a line's end too; in JSON Schema it is the very end.
    """
    import jsonschema

    exact = {
        name: json.loads(json.dumps(schema.definition).replace('$"', '\\\\Z"'))
        for name, (schema, _) in SUBJECTS.items()
    }
    return {name: jsonschema.Draft202012Validator(one) for name, one in exact.items()}


@pytest.mark.parametrize("kind", SUBJECTS)
@given(data=st.data())
def test_what_json_schema_refuses_is_refused_in_one_short_line(
    kind: str, judges: dict[str, Any], data: st.DataObject
) -> None:
    schema, whole = SUBJECTS[kind]
    assert schema.fault_of(whole) is None
    value = data.draw(spoiled(whole))
    before = copy.deepcopy(value)
    fault = schema.fault_of(value)
    assert (fault is None) == judges[kind].is_valid(value)
    assert repr(value) == repr(before), "it is looked at, not filled in"
    assert fault is None or (len(fault) < 300 and fault.isprintable())


def keywords(definition: Any) -> set[str]:
    """What a schema asks of values, wherever in it."""
    parts = [*definition.get("properties", {}).values()]
    parts += [
        definition[name]
        for name in ("items", "propertyNames", "additionalProperties")
        if name in definition
    ]
    return {*definition}.union(*map(keywords, parts))


@pytest.mark.parametrize("kind", SUBJECTS)
def test_the_keywords_are_those_that_mean_the_same_in_all_drafts(kind: str) -> None:
    assert keywords(SUBJECTS[kind][0].definition) <= {
        *("type", "const", "pattern", "title", "minLength", "minimum", "maximum", "required"),
        *("properties", "propertyNames", "additionalProperties", "items"),
    }
