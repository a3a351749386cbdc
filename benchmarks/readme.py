"""``python -m benchmarks.readme``: put the committed figures where pages quote them."""

from __future__ import annotations

import json
import re

from benchmarks._results import RESULTS, ROOT, number

QUOTING = ("README.md", "docs/bundled.md", "docs/duplicates.md", "docs/engines.md")


def main() -> None:
    def figure(found: re.Match[str]) -> str:
        body = json.loads((RESULTS / f"{found[2]}.json").read_text())
        value = next(row["value"] for row in body["rows"] if row["id"] == found[3])
        return f"{number(value)}<!--{found[2]}:{found[3]}-->"

    for name in QUOTING:
        page = ROOT / name
        page.write_text(re.sub(r"([^\s|<>]+)<!--(\w+):(\w+)-->", figure, page.read_text()))


if __name__ == "__main__":
    main()
