"""A chat's Markdown on Textual's line API."""
