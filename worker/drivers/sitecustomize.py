"""PyMySQL in place of mysqlclient, which has no wheel for Linux and may not be there.

The way that PyMySQL documents for Django, which asks for a version of mysqlclient's. Python
runs this at the start of every process that has this directory on its path.
"""

from __future__ import annotations

import pymysql

pymysql.version_info = (2, 2, 4, "final", 0)
pymysql.install_as_MySQLdb()
