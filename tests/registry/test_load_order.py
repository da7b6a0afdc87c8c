from __future__ import annotations

import random

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.test.utils import isolate_apps

from diskette import registry

# ruff: noqa: DJ008 - no one looks at these rows: there are none

pytestmark = pytest.mark.usefixtures("project")


def ordered(*labels: str) -> list[str]:
    """Labels in load order, given backwards and forwards alike."""
    chosen = [apps.get_model(label) for label in labels]
    order = registry.load_order(chosen)
    assert order == registry.load_order(chosen[::-1])
    return [model._meta.label for model in order]


@pytest.mark.parametrize(
    ("needed", "needing"),
    [
        pytest.param("kiosk.Shelf", "kiosk.Ware", id="foreign key"),
        pytest.param("kiosk.Tag", "kiosk.Ware", id="many to many, without its table"),
        pytest.param("kiosk.Ware", "kiosk.Ware_tags", id="table of a many-to-many field"),
        pytest.param("kiosk.Tag", "kiosk.Ware_tags", id="its other side"),
        pytest.param("kiosk.Ware", "kiosk.Offer", id="inheritance"),
        pytest.param("kiosk.Offer", "gifts.GiftOffer", id="inheritance between applications"),
        pytest.param("kiosk.Maker", "kiosk.Tag", id="natural key's dependency"),
        pytest.param("contenttypes.ContentType", "kiosk.Remark", id="generic foreign key"),
        pytest.param("kiosk.Ware", "kiosk.Remark", id="generic relation"),
        pytest.param("auth.User", "kiosk.Ware", id="foreign key between applications"),
        pytest.param("sessions.Session", "kiosk.Visit", id="foreign key as text"),
    ],
)
def test_what_is_needed_comes_first(needed, needing):
    assert ordered(needed, needing) == [needed, needing]


def test_a_required_reference_wins_over_an_optional_one_in_a_circle():
    assert ordered("kiosk.Ware", "kiosk.Shelf") == ["kiosk.Shelf", "kiosk.Ware"]


def test_a_circle_that_cannot_be_cut_is_allowed():
    assert ordered("kiosk.Hen", "kiosk.Egg") == ["kiosk.Egg", "kiosk.Hen"]


def test_the_order_depends_on_the_set_alone():
    everything = list(registry.dumpable_models())
    order = registry.load_order(everything)
    shuffled = everything[:]
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        assert registry.load_order(shuffled) == order
    assert set(order) == set(everything)


def test_a_model_given_twice_is_there_once():
    assert registry.load_order([User, Group, User]) == (Group, User)


def test_nothing_is_in_order():
    assert registry.load_order([]) == ()


def test_every_need_that_is_no_circle_is_met():
    order = registry.load_order(registry.dumpable_models())
    place = {model: number for number, model in enumerate(order)}
    circles = {"kiosk.Shelf", "kiosk.Egg"}
    for relation in (each for model in order for each in registry.relations(model)):
        if relation.target in place and relation.model._meta.label not in circles:
            assert place[relation.target] <= place[relation.model], relation.why


@isolate_apps("tests.registry.kiosk")
def test_a_chain_longer_than_pythons_stack_is_no_trouble():
    links: list[type[models.Model]] = []
    for number in range(1_200):
        attributes = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "kiosk"})}
        if links:
            attributes["link"] = models.ForeignKey(links[-1], models.CASCADE, related_name="+")
        links.append(type(f"Link{number:04}", (models.Model,), attributes))
    assert registry.load_order(links[::-1]) == tuple(links)


@isolate_apps("tests.registry.kiosk")
def test_one_to_one_fields_and_references_to_proxies_count_as_references_to_the_table():
    class Person(models.Model):
        class Meta:
            app_label = "kiosk"

    class Friend(Person):
        class Meta:
            app_label = "kiosk"
            proxy = True

    class Address(models.Model):
        friend = models.OneToOneField(Friend, models.CASCADE)

        class Meta:
            app_label = "kiosk"

    assert registry.load_order([Address, Person]) == (Person, Address)


@isolate_apps("tests.registry.kiosk")
def test_a_reference_to_itself_is_no_circle():
    class Word(models.Model):
        means = models.ForeignKey("self", models.CASCADE)
        near = models.ManyToManyField("self")

        class Meta:
            app_label = "kiosk"

    assert registry.load_order([Word]) == (Word,)


def test_a_relation_says_why():
    ware = apps.get_model("kiosk.Ware")
    assert [(str(each.why), each.field, each.need.name) for each in registry.relations(ware)] == [
        ("kiosk.Ware.shelf refers to kiosk.Shelf", "shelf", "REQUIRED"),
        ("kiosk.Ware.seller refers to auth.User", "seller", "OPTIONAL"),
        ("kiosk.Ware.tags refers to kiosk.Tag", "", "OPTIONAL"),
        (
            "kiosk.Remark refers to kiosk.Ware (kiosk.Ware.remarks is a generic relation)",
            "",
            "GENERIC",
        ),
    ]
    tag, offer = apps.get_model("kiosk.Tag"), apps.get_model("kiosk.Offer")
    assert "kiosk.Tag.natural_key depends on kiosk.Maker" in [
        each.why for each in registry.relations(tag)
    ]
    assert next(registry.relations(offer)).why == "kiosk.Offer.ware_ptr inherits from kiosk.Ware"


def test_content_types_need_nothing():
    assert list(registry.relations(ContentType)) == []
