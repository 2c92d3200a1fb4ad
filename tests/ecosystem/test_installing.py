"""Our installer says of the real packages what the reference's own says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobqueue_widget.plugins import install
from jobqueue_widget.plugins.manifests.capabilities import nest
from tests.ecosystem import capabilities_for_tests as today
from tests.ecosystem.outcomes import MADE
from tests.ecosystem.subjects import SUBJECTS
from tests.ecosystem.test_outcomes import need_environments

pytestmark = pytest.mark.timeout(120)  # on a busy machine


def told(package: str, python: str, data: Path) -> dict[str, Any]:
    variables = {"CJM_DATA_DIR": str(data), "CJM_CAPABILITY_DATA_DIR": str(data)}
    return install._describe(Path(python), package, None, variables, lambda line: None)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_manifest_says_what_that_of_their_installer_says(name: str, tmp_path: Path) -> None:
    need_environments()
    package = SUBJECTS[name].package
    text = (MADE / "project" / "data" / "manifests" / f"{package}.json").read_text()
    # cjm-ctl gave it other folders
    theirs = json.loads(
        text.replace(str(MADE.resolve() / "project" / "data" / "data"), str(tmp_path))
    )
    ours = told(package, theirs["python_path"], tmp_path)
    theirs.pop("conda_env", None)
    assert ours == theirs


@pytest.mark.parametrize("part", ["pysbd", "ffmpeg", "graph-sqlite", "monitor-nvidia"])
def test_a_capability_s_manifest_says_what_that_of_their_installer_says(
    part: str, tmp_path: Path
) -> None:
    today.need_capabilities()
    package = f"cjm-capability-{part}"
    theirs = json.loads((today.MANIFESTS / f"{package}.json").read_text())
    ours = nest(told(package, theirs["install"]["python_path"], tmp_path))
    del theirs["code"]["regenerated_at"]
    assert ours["code"] == {**theirs["code"], "author": ours["code"]["author"]}
