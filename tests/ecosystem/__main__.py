"""Prints the table of outcomes, or writes it into a page:

python -m tests.ecosystem [docs/coming-from-cjm-plugin-system.md]
"""  # noqa: D415 - a command line ends the sentence

from __future__ import annotations

import sys
from pathlib import Path

from tests.ecosystem.outcomes import PLAYS, outcomes, table, write_into


def main(pages: list[str]) -> int:
    cells = [cell for play in PLAYS for cell in outcomes(play)]
    text = table(cells)
    if pages:
        write_into(Path(pages[0]), text)
    else:
        print(text)
    return int("**" in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
