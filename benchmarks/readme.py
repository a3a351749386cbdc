"""``python -m benchmarks.readme``: put the committed figures where the README quotes them."""

from __future__ import annotations

import json
import re

from benchmarks._results import RESULTS, ROOT, number


def main() -> None:
    readme = ROOT / "README.md"

    def figure(found: re.Match[str]) -> str:
        body = json.loads((RESULTS / f"{found[2]}.json").read_text())
        value = next(row["value"] for row in body["rows"] if row["id"] == found[3])
        return f"{number(value)}<!--{found[2]}:{found[3]}-->"

    readme.write_text(re.sub(r"([^\s|<>]+)<!--(\w+):(\w+)-->", figure, readme.read_text()))


main()
