"""Users, groups, permissions and the admin's log, which every project has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sites.models import Site
from django.db.models import Model

from worker.sample.values import Values


def create_site() -> Site:
    """The row that migrate makes, with a name of its own, and another one."""
    Site.objects.filter(pk=1).update(domain="příklad.example", name="Příklad 🦊")
    Site.objects.clear_cache()
    Site.objects.create(domain="second.example", name="")
    return Site.objects.get_current()


def create_users(values: Values, count: int) -> list[User]:
    """Users; the first is an administrator, the next four are of the staff."""
    return [
        User.objects.create(
            username=f"user{number:03}",
            first_name=values.words(1),
            last_name=values.words(1),
            email=f"user{number}@example.org",
            password=f"!{values.random.getrandbits(128):x}",
            last_login=values.maybe(values.instant()),
            is_staff=number < 5,
            is_superuser=number == 0,
            is_active=number % 7 != 6,
        )
        for number in range(count)
    ]


def create_groups(values: Values, users: Sequence[User], names: Iterable[str]) -> list[Group]:
    """Groups of users, with permissions for this and that."""
    permissions = list(
        Permission.objects.order_by("content_type__app_label", "content_type__model", "codename")
    )
    groups = []
    for name in names:
        group = Group.objects.create(name=name)
        group.permissions.set(values.some(permissions, 12))
        group.user_set.set(values.some(users, 10))
        groups.append(group)
    for user in users[:4]:
        user.user_permissions.set(values.some(permissions, 4))
    return groups


def log(values: Values, users: Sequence[User], rows: Iterable[Model]) -> None:
    """What the admin would have written about the rows."""
    for row in rows:
        LogEntry.objects.log_actions(
            user_id=values.random.choice(users).pk,
            queryset=[row],
            action_flag=values.random.choice([ADDITION, CHANGE, DELETION]),
            change_message=[{"changed": {"fields": [values.words(1), "název"]}}],
        )
