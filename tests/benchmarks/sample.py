"""The process of one sample: runs one side of one probe and writes what it found to a file."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from .measure import Effort, Never


def take(probe: str, side: str, effort: Effort) -> dict[str, object]:
    """Figures, or words that say why there are none."""
    from .catalogue import PROBES

    try:
        return {"figures": PROBES[probe].sides[side].measure(effort)}
    except Never as never:
        return {"words": f"never: {never}"}
    except ModuleNotFoundError as error:
        return {"words": f"not installed ({error.name})"}
    except Exception as error:
        logging.getLogger(__name__).exception("%s of %s failed", side, probe)
        text = str(error).strip().partition("\n")[0]
        return {"words": f"failed: {type(error).__name__}: {text}"[:120]}


def main() -> None:
    """Leave at once afterwards: what a peer left running is ended by whoever started us."""
    probe, side, size, quick, path = sys.argv[1:]
    told = take(probe, side, Effort(int(size), quick=bool(int(quick))))
    Path(path).write_text(json.dumps(told))
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
