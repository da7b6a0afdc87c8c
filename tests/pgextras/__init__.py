"""What not every PostgreSQL has: hstore (contrib) and collations of ICU.

The application is installed where the tests' server has both; a server from a wheel has
neither, one named in DISKETTE_TEST_POSTGRES usually both. After a change:
`django-admin makemigrations pgextras --settings tests.settings --pythonpath .`
"""
