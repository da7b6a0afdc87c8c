"""Fields that only PostgreSQL has; the models exist on that engine alone.

`Meta.required_db_vendor` keeps the migrations from making the tables elsewhere. Needs
`django.contrib.postgres` among the installed applications. After a change:
`django-admin makemigrations pglibrary --settings tests.settings --pythonpath .`
"""
