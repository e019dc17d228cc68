"""Boards declared once, rendered to Grafana JSON and to the live board; `web/` holds the API and the page."""
