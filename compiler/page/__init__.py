"""The report as one page that stands alone: HTML with its style and its drawings in it.

Nothing is known here but what is in `report.json`. The drawings are SVG, made twice, for wide and
for narrow screens, of which the style shows one; there is no script.
"""

from compiler.page.page import PAGE, REPORT, render, save, write_page


__all__ = ["PAGE", "REPORT", "render", "save", "write_page"]
