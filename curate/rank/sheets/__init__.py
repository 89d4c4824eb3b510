"""Sheets: what annotators without a server rank on, a file each. `curate.rank.importing` reads them back.

    sheets/csv/NAME.csv  xlsx/NAME.xlsx  html/NAME.html  label-studio/NAME.json, config.xml  argilla/NAME.json, settings.json

Texts too long for a cell are cut in CSV and XLSX, and stand whole in `sheets/long/`.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["SheetKind"]

SheetKind = Literal["csv", "xlsx", "html", "label-studio", "argilla"]
