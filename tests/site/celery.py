"""The site's Celery application under the tests' settings: `celery -A tests.site`.

`DISKETTE_TEST_CELERY` has more of Celery's settings, as JSON.
"""

from __future__ import annotations

import json
import os

from worker.celery import app

__all__ = ["app"]

app.conf.update(json.loads(os.environ.get("DISKETTE_TEST_CELERY", "{}")))
