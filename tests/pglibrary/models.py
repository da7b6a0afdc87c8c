"""The fields of django.contrib.postgres."""

from __future__ import annotations

from django.contrib.postgres import fields as postgres
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.contrib.postgres.search import SearchVectorField
from django.db import models


class PostgresSpecimen(models.Model):
    integers = postgres.ArrayField(models.IntegerField(null=True), null=True)
    words = postgres.ArrayField(models.CharField(max_length=80, null=True), null=True)
    instants = postgres.ArrayField(models.DateTimeField(), null=True)
    decimals = postgres.ArrayField(models.DecimalField(max_digits=20, decimal_places=5), null=True)
    nested = postgres.ArrayField(postgres.ArrayField(models.IntegerField()), null=True)
    uuids = postgres.ArrayField(models.UUIDField(), size=4, null=True)
    integer_range = postgres.IntegerRangeField(null=True)
    big_range = postgres.BigIntegerRangeField(null=True)
    decimal_range = postgres.DecimalRangeField(null=True)
    date_range = postgres.DateRangeField(null=True)
    instant_range = postgres.DateTimeRangeField(null=True)
    search = SearchVectorField(null=True)

    class Meta:
        required_db_vendor = "postgresql"

    def __str__(self) -> str:
        return str(self.pk)


class Booking(models.Model):
    """An exclusion constraint."""

    room = models.IntegerField()
    during = postgres.DateTimeRangeField()

    class Meta:
        required_db_vendor = "postgresql"
        constraints = [
            ExclusionConstraint(
                name="pglibrary_booking_overlap", expressions=[("during", RangeOperators.OVERLAPS)]
            )
        ]

    def __str__(self) -> str:
        return f"{self.room} {self.during}"
