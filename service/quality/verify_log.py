"""Verifies an exported audit log: `python3 verify_log.py audit-log.jsonl`.

Needs Python alone; `wetread report` writes this file beside the log. Each line is a JSON object with
`digest`, the SHA-256 of the line's other content, which has `previous`, the digest of the line before
(64 zeros in the first line). A line that was changed, removed or inserted is found. Lines that were
removed at the end are found if the number of lines and the last digest are compared with those that
the document states, or that were noted elsewhere.
"""

import hashlib
import json
import sys
from collections.abc import Iterable

BEGINNING = "0" * 64


def digest_of(line: dict[str, object]) -> str:
    """Return the digest that belongs to a line."""
    content = {name: value for name, value in line.items() if name != "digest"}
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def verify(lines: Iterable[str]) -> tuple[int, str, str]:
    """Return the number of good lines, the last good digest, and what is wrong after them, or ""."""
    count, previous = 0, BEGINNING
    record = None
    for text in lines:
        fault, line = _parsed(text)
        if not fault and line.get("previous") != previous:
            fault = (
                "does not follow the line before it: one of them was removed, inserted or changed"
            )
        if not fault and digest_of(line) != line.get("digest"):
            fault = "was changed after it was written"
        if not fault and record not in (None, line.get("record_previous")):
            fault = "is not the record that followed the record before it in the audit trail"
        if fault:
            return count, previous, f"line {count + 1} {fault}"
        count, previous, record = count + 1, str(line["digest"]), line.get("record_digest")
    return count, previous, ""


def _parsed(text: str) -> tuple[str, dict[str, object]]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return "is no JSON", {}
    return ("", line) if isinstance(line, dict) else ("is no JSON object", {})


def main(arguments: list[str]) -> int:
    """Verify the file that is named; print the result; return 0 if nothing is wrong."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python3 verify_log.py audit-log.jsonl\n")
        return 2
    with open(arguments[0], encoding="utf-8") as file:  # noqa: PTH123 - plain Python for any reader
        count, digest, fault = verify(file)
    if fault:
        sys.stderr.write(f"BROKEN: {fault}\n")
        return 1
    sys.stdout.write(f"verified: {count} lines, last digest {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
