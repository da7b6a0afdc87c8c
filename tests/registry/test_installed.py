from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.migrations.recorder import MigrationRecorder
from django_celery_results.models import TaskResult

from diskette import registry
from diskette.core.exceptions import ConfigurationError


@pytest.mark.usefixtures("project")
def test_bookkeeping_is_ours_results_schedules_and_sessions():
    ours = list(apps.get_app_config("diskette").get_models())
    schedules = apps.get_app_config("django_celery_beat").get_models()
    assert all(map(registry.is_bookkeeping, [*ours, *schedules, TaskResult, Session]))
    assert not any(map(registry.is_bookkeeping, [User, Permission, ContentType]))


@pytest.mark.usefixtures("project")
def test_content_types_and_permissions_are_never_dumped_either():
    assert registry.never_dumped(ContentType)
    assert registry.never_dumped(Permission)
    assert registry.never_dumped(Session)
    assert not registry.never_dumped(Group)


def test_an_application_that_is_only_called_sessions_is_no_bookkeeping():
    yoga = type("Session", (), {"__module__": "yoga.sessions.models"})
    also = type("Session", (), {"__module__": "diskettes.models"})
    assert not registry.is_bookkeeping(yoga)
    assert not registry.is_bookkeeping(also)


@pytest.mark.parametrize("label", ["auth.User", "auth.User_groups", "auth.Group_permissions"])
def test_a_model_is_found_by_its_label(label):
    model = registry.find_model(label)
    assert model is not None
    assert model._meta.label == label


@pytest.mark.parametrize(
    "label", ["auth.user", "AUTH.User", "auth", "", "auth.User.x", "gone.User", "auth.Gone", "../x"]
)
def test_no_model_is_found_by_another_spelling(label):
    assert registry.find_model(label) is None


@pytest.mark.usefixtures("project")
def test_models_with_rows_are_dumpable_and_their_many_to_many_tables_too():
    labels = {model._meta.label for model in registry.dumpable_models()}
    assert {"auth.User", "auth.User_groups", "kiosk.Ware_tags", "kiosk.Tag_sees"} <= labels
    assert not labels & {
        "auth.Permission",
        "sessions.Session",
        "kiosk.CheapWare",
        "kiosk.Legacy",
        "kiosk.Legacy_tags",
        "kiosk.Vault",
    }


@pytest.mark.django_db
def test_the_leaf_of_each_application_is_its_last_applied_migration():
    assert registry.migration_leaves("default")["contenttypes"] == (
        "0002_remove_content_type_name",
    )


@pytest.mark.django_db
def test_a_migration_not_yet_applied_is_no_leaf():
    from django.db import connection

    before = registry.migration_leaves("default")["auth"]
    MigrationRecorder(connection).record_unapplied("auth", before[0])
    after = registry.migration_leaves("default")["auth"]
    assert before == ("0012_alter_user_first_name_max_length",)
    assert after == ("0011_update_proxy_permissions",)


@pytest.mark.django_db
def test_branches_have_a_leaf_each(project):
    from django.db import connection

    project.MIGRATION_MODULES = {"kiosk": "tests.registry.forked.migrations"}
    assert "kiosk" not in registry.migration_leaves("default")
    for name in ("0001_root", "0002_right", "0002_left"):
        MigrationRecorder(connection).record_applied("kiosk", name)
    assert registry.migration_leaves("default")["kiosk"] == ("0002_left", "0002_right")


@pytest.mark.django_db
def test_migrations_that_are_no_graph_are_a_configuration_error(project):
    project.MIGRATION_MODULES = {"kiosk": "tests.registry.torn.migrations"}
    with pytest.raises(ConfigurationError, match=r"0000_lost.*showmigrations"):
        registry.migration_leaves("default")
