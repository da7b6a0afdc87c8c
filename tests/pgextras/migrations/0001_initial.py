import django.contrib.postgres.fields.hstore
from django.contrib.postgres.operations import CreateCollation, HStoreExtension
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        HStoreExtension(),
        CreateCollation("pgextras_ignoring_case", "und-u-ks-level2", provider="icu", deterministic=False),
        migrations.CreateModel(
            name='Extra',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pairs', django.contrib.postgres.fields.hstore.HStoreField(null=True)),
                ('nickname', models.CharField(db_collation='pgextras_ignoring_case', max_length=40, null=True, unique=True)),
            ],
            options={
                'required_db_vendor': 'postgresql',
            },
        ),
    ]
