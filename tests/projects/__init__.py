"""Real projects of other people, dumped and loaded as their users would do it.

Each has settings that read everything a site is from the environment, and a module
`filling` that makes its rows and files through the project's own interfaces.
"""

from __future__ import annotations
