"""The names of the files in the folder of an evaluation."""

from typing import Final

MANIFEST: Final = "manifest.json"
DRAFTS: Final = "drafts.jsonl"
PER_STUDY: Final = "per_study.csv"
METRICS: Final = "metrics.json"
SUBGROUPS: Final = "subgroups.csv"
CHECKLIST: Final = "checklist.json"
ERRORS: Final = "errors.csv"
CELLS: Final = "cells.csv"
REPORT: Final = "report.html"
PAIRS: Final = "pairs"
IMAGES: Final = "images"
