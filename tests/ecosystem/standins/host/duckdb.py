"""Stands in for DuckDB, which fetches its reader of SQLite files from the net: SQLite itself."""

import re
import sqlite3
from typing import Any


class Connection:
    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:")
        self._cursor = self._database.cursor()

    def execute(self, query: str) -> "Connection":
        query = re.sub(r"\(TYPE SQLITE, READ_ONLY TRUE\)", "", query)
        self._cursor.execute(query.replace("json_extract_string", "json_extract"))
        return self

    def df(self) -> Any:
        import pandas

        columns = [name for name, *_ in self._cursor.description]
        return pandas.DataFrame(self._cursor.fetchall(), columns=columns)


def connect() -> Connection:
    return Connection()
