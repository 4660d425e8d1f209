"""Answers of pages in the frame of the site, fields of forms, and changes by form or JSON."""
