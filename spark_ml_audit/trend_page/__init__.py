"""The page of a trend: one HTML file that needs nothing else, plots drawn as inline SVG."""

from __future__ import annotations

from spark_ml_audit.trend_page.page import render_page

__all__ = ["render_page"]
