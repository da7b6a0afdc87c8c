"""A library whose models are awkward on purpose: one of everything a backup may trip over.

Has migrations of its own, because some models refer to migrated applications. After a change:
`django-admin makemigrations library --settings tests.settings --pythonpath .`
"""
