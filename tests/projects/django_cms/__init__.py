"""django CMS: pages in languages and versions, placeholders, plugins, files with owners.

Its plugins are tables that inherit from one; its files are polymorphic; what is not
published is hidden by the models' own managers; private files lie outside the media.
"""

from __future__ import annotations
