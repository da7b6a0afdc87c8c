from django.db import migrations, models
import django.utils.timezone


class Migration(migrations.Migration):

    dependencies = [
        ('diskette', '0005_ends_told'),
    ]

    operations = [
        migrations.CreateModel(
            name='Sighting',
            fields=[
                ('name', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('detail', models.JSONField(default=dict)),
            ],
        ),
    ]
