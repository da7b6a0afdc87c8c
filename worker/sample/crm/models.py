"""Multi-table inheritance, circles, times and durations, bytes."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models


class Company(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    vat_number = models.CharField(max_length=20, unique=True, null=True, blank=True)
    contact = models.ForeignKey(
        "crm.Person", models.SET_NULL, null=True, blank=True, related_name="speaks_for"
    )
    """A circle: people belong to companies, a company has a contact."""
    turnover = models.BigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name


class Person(models.Model):
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    company = models.ForeignKey(
        Company, models.CASCADE, null=True, blank=True, related_name="people"
    )
    consent_at = models.DateTimeField(null=True, blank=True)
    portrait = models.BinaryField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name


class Employee(Person):
    """A person, in a table of its own beside."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    hired_on = models.DateField()
    begins_at = models.TimeField(null=True, blank=True)
    salary = models.DecimalField(max_digits=10, decimal_places=2)


class Salesperson(Employee):
    """Inheritance of the second degree."""

    region = models.CharField(max_length=40)
    commission = models.DecimalField(max_digits=5, decimal_places=4)
    accounts = models.ManyToManyField(Company, blank=True, related_name="salespeople")


class Deal(models.Model):
    class Stage(models.TextChoices):
        OPEN = "open"
        WON = "won"
        LOST = "lost"

    company = models.ForeignKey(Company, models.CASCADE, related_name="deals")
    owner = models.ForeignKey(Salesperson, models.PROTECT, related_name="deals")
    stage = models.CharField(max_length=8, choices=Stage, default=Stage.OPEN)
    amount = models.DecimalField(max_digits=18, decimal_places=2)
    terms = models.JSONField(null=True, blank=True)
    closes_on = models.DateField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["stage"], name="crm_deal_stage")]

    def __str__(self) -> str:
        return f"{self.company}: {self.amount}"


class Call(models.Model):
    deal = models.ForeignKey(Deal, models.CASCADE, related_name="calls")
    callers = models.ManyToManyField(Employee, blank=True)
    began_at = models.DateTimeField()
    lasted = models.DurationField()
    summary = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.began_at:%Y-%m-%d %H:%M}"
