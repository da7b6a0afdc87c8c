from __future__ import annotations

import copy

import pytest

from diskette import registry
from diskette.core.exceptions import ConfigurationError, UsageError
from diskette.core.report import Finding, Severity

AUTH = ["auth", {"models": "auth"}]
KIOSK = ["kiosk", {"models": ["kiosk"]}]
GIFTS = ["gifts", {"models": ["gifts"]}]
REST = ["rest", {"is_drain": True}]
AUTH_LABELS = [
    "auth.Group",
    "auth.Group_permissions",
    "auth.User",
    "auth.User_groups",
    "auth.User_user_permissions",
]


def labels(definition: registry.ResolvedDefinition) -> list[str]:
    return [model._meta.label for model in definition.models]


def shares(resolution: registry.Resolution) -> dict[str, set[str]]:
    return {each.name: set(labels(each)) for each in resolution.definitions}


def names(resolution: registry.Resolution) -> list[str]:
    return [each.name for each in resolution.definitions]


def found(resolution: registry.Resolution, code: str) -> list[Finding]:
    return [finding for finding in resolution.findings if finding.code == code]


# Labels


def test_an_application_label_means_its_models_and_their_many_to_many_tables(resolve):
    (auth,) = resolve(AUTH).definitions
    assert labels(auth) == AUTH_LABELS


def test_a_model_brings_the_tables_of_its_many_to_many_fields(resolve):
    (users,) = resolve(["users", {"models": "auth.User"}]).definitions
    assert labels(users) == ["auth.User", "auth.User_groups", "auth.User_user_permissions"]


def test_naming_such_a_table_too_does_not_double_it(resolve):
    (users,) = resolve(["u", {"models": ["auth.User", "auth.User_groups"]}]).definitions
    assert labels(users) == ["auth.User", "auth.User_groups", "auth.User_user_permissions"]


def test_such_a_table_goes_where_it_is_named(resolve):
    resolution = resolve(
        ["users", {"models": ["auth.User"]}],
        ["groups", {"models": ["auth.Group", "auth.User_groups"]}],
    )
    assert shares(resolution) == {
        "users": {"auth.User", "auth.User_user_permissions"},
        "groups": {"auth.Group", "auth.Group_permissions", "auth.User_groups"},
    }


def test_excluding_a_model_leaves_its_many_to_many_tables_out_too(resolve):
    (auth,) = resolve(["auth", {"models": "auth", "excludes": ["auth.User"]}]).definitions
    assert labels(auth) == ["auth.Group", "auth.Group_permissions"]
    assert auth.excludes == ("auth.User",)


def test_a_many_to_many_table_can_be_excluded_alone(resolve):
    (auth,) = resolve(["auth", {"models": "auth", "excludes": ["auth.User_groups"]}]).definitions
    assert labels(auth) == [label for label in AUTH_LABELS if label != "auth.User_groups"]


def test_what_a_definition_says_is_kept(resolve):
    (auth,) = resolve(
        [
            "users",
            {
                "models": "auth.Group",
                "comments": "Who is who",
                "natural_foreign": True,
                "natural_primary": True,
                "use_base_manager": False,
                "filename": "users.json",
                "excludes": ["auth.User"],
                "database": "postgresql",
            },
        ]
    ).definitions
    assert auth == registry.ResolvedDefinition(
        name="users",
        database="postgresql",
        models=auth.models,
        natural_foreign=True,
        natural_primary=True,
        default_manager=True,
        comments="Who is who",
        filename="users.json",
        excludes=("auth.User",),
    )


@pytest.mark.parametrize(
    ("parameters", "expected"), [({}, False), ({"use_base_manager": True}, False)]
)
def test_the_default_manager_is_used_only_where_that_is_said(resolve, parameters, expected):
    (auth,) = resolve(["auth", {"models": "auth"} | parameters]).definitions
    assert auth.default_manager is expected


@pytest.mark.parametrize(
    ("label", "cure"),
    [
        ("auth.user", "'auth.User'"),
        ("auth.Usr", "'auth.User'"),
        ("User", "'auth.User'"),
        ("Auth", "'auth'"),
        ("kiosc", "'kiosk'"),
        ("django.contrib.auth", "'auth'"),
        ("tests.registry.kiosk", "'kiosk'"),
        ("staticfiles", "diskette_apps prints the labels"),
        ("zzzzz", "diskette_apps prints the labels"),
        ("auth.User.email", "'auth.User'"),
    ],
)
def test_a_label_that_nothing_has_is_refused_with_the_right_spelling(refuse, label, cure):
    (problem,) = refuse(["users", {"models": ["auth.Group", label]}])
    assert problem.startswith(f"Definition 'users': {label!r} in 'models' is no installed ")
    assert cure in problem


def test_excludes_are_checked_too(refuse):
    (problem,) = refuse(["auth", {"models": "auth", "excludes": ["auth.group"]}])
    assert "'auth.group' in 'excludes'" in problem
    assert "'auth.Group'" in problem


def test_excluding_everything_is_refused(refuse):
    (problem,) = refuse(["g", {"models": "auth.Group", "excludes": ["auth.Group"]}])
    assert problem.startswith("Definition 'g': 'excludes' leaves nothing of 'auth.Group'.")


def test_a_model_in_two_definitions_is_refused(refuse):
    (problem,) = refuse(AUTH, ["users", {"models": "auth.User"}])
    assert problem.startswith("Definitions 'auth' and 'users' both include auth.User.")
    assert "excludes" in problem


def test_a_many_to_many_table_named_twice_is_refused(refuse):
    one = ["one", {"models": ["auth.User_groups"]}]
    other = ["other", {"models": ["auth.User_groups"]}]
    (problem,) = refuse(one, other)
    assert "both include auth.User_groups" in problem


def test_names_and_file_names_are_of_one_definition(refuse):
    problems = refuse(
        ["a", {"models": "auth.Group"}],
        ["a", {"models": "auth.User"}],
        ["my.app", {"models": "kiosk.Tag"}],
        ["myapp", {"models": "kiosk.Egg"}],
        ["x", {"models": "kiosk.Hen", "filename": "y.json"}],
        ["y", {"models": "kiosk.Maker"}],
    )
    cure = "Set 'filename' in one of them."
    assert problems[1:] == [
        f"Definitions 'my.app' and 'myapp' have one file name, 'myapp.json'. {cure}",
        f"Definitions 'x' and 'y' have one file name, 'y.json'. {cure}",
    ]
    assert problems[0].startswith("Definition 'a': 2 definitions have this name. ")


def test_all_problems_are_told_at_once(refuse):
    problems = refuse(
        "auth",
        ["a", {"models": "auth.user", "natural_primary": "no"}],
        ["b", {"models": ["kiosk", "auth.users"], "excludes": ["kiosk.Wares"]}],
        ["c", {"models": "kiosk.Tag", "database": "nowhere"}],
        ["d", {"models": []}],
    )
    assert [problem.partition(":")[0].partition(" both")[0] for problem in problems] == [
        "DISKETTE_APPS",
        "Definition 'a'",
        "Definition 'd'",
        "Definition 'b'",
        "Definition 'b'",
        "Definition 'c'",
        "Definitions 'b' and 'c'",
    ]


@pytest.mark.parametrize("value", ["auth", {"auth": {}}, 5])
def test_definitions_that_are_no_list_are_refused(project, value):
    project.DISKETTE_APPS = value
    with pytest.raises(ConfigurationError, match="must be a list"):
        registry.resolve()


def test_an_empty_list_means_no_data(resolve):
    assert resolve() == registry.Resolution(definitions=(), load_order=(), findings=())


def test_settings_are_the_same_after_any_number_of_runs(project, resolve):
    entries = [REST, ["kiosk", {"models": "kiosk", "is_drain": False}], AUTH]
    before = copy.deepcopy(entries)
    assert resolve(*entries) == resolve(*entries)
    assert entries == before
    assert before == project.DISKETTE_APPS


# Drains


def test_a_drain_takes_what_no_definition_takes_and_comes_last(resolve):
    resolution = resolve(REST, AUTH, KIOSK)
    assert names(resolution) == ["auth", "kiosk", "rest"]
    assert shares(resolution)["rest"] == {"gifts.GiftOffer", "gifts.Card"}


def test_a_drain_takes_nothing_of_an_application_that_does_not_allow_it(resolve):
    users = ["users", {"models": "auth.User", "excludes": ["kiosk.Hen"]}]
    drain = ["rest", {"is_drain": True, "drain_excluded": True}]
    assert shares(resolve(users, drain))["rest"] == {"gifts.GiftOffer", "gifts.Card"}


def test_a_drain_that_wants_leavings_takes_them_where_they_are_allowed(resolve):
    users = ["users", {"models": "auth.User", "allow_drain": True}]
    tags = ["tags", {"models": "kiosk", "excludes": ["kiosk.Hen"]}]
    drain = ["rest", {"is_drain": True, "drain_excluded": True}]
    assert shares(resolve(users, tags, drain))["rest"] == {
        "auth.Group",
        "auth.Group_permissions",
        "gifts.GiftOffer",
        "gifts.Card",
    }


def test_a_drain_that_does_not_want_leavings_takes_none(resolve):
    users = ["users", {"models": "auth.User", "allow_drain": True}]
    assert not shares(resolve(users, REST))["rest"] & set(AUTH_LABELS)


def test_a_drains_own_excludes_stay_out_with_their_many_to_many_tables(resolve):
    drain = ["rest", {"is_drain": True, "excludes": ["kiosk.Ware"]}]
    taken = shares(resolve(AUTH, GIFTS, drain))["rest"]
    assert "kiosk.Offer" in taken
    assert not taken & {"kiosk.Ware", "kiosk.Ware_tags"}


def test_a_second_drain_takes_what_the_first_leaves(resolve):
    users = ["users", {"models": "auth.User", "allow_drain": True}]
    late = ["late", {"is_drain": True, "drain_excluded": True}]
    assert shares(resolve(users, REST, late))["late"] == {"auth.Group", "auth.Group_permissions"}


def test_a_drain_takes_nothing_that_is_never_dumped(resolve):
    (rest,) = resolve(REST).definitions
    assert set(rest.models) == set(registry.dumpable_models())


def test_a_drain_for_which_nothing_is_left_is_refused_with_the_reason(refuse):
    (problem,) = refuse(AUTH, KIOSK, GIFTS, REST)
    assert problem == (
        "Definition 'rest': nothing is left for this drain: 20 of 20 models are in other "
        "definitions. Remove the drain."
    )
    (problem,) = refuse(
        ["users", {"models": "auth.User"}],
        KIOSK,
        ["rest", {"is_drain": True, "excludes": ["gifts.Card", "gifts.GiftOffer"]}],
    )
    assert problem == (
        "Definition 'rest': nothing is left for this drain: 16 of 20 models are in other "
        "definitions, 2 are left out by 'users', which keep them from it, and its own 'excludes' "
        "leave out 'gifts.Card', 'gifts.GiftOffer'. Remove the drain, or set its "
        "'drain_excluded' and their 'allow_drain' to True."
    )


# Order


def test_a_configured_order_that_loads_is_kept(resolve):
    hens = ["hens", {"models": ["kiosk.Hen", "kiosk.Egg"]}]
    resolution = resolve(hens, AUTH)
    assert names(resolution) == ["hens", "auth"]
    assert not found(resolution, "order")
    assert names(resolve(AUTH, hens)) == ["auth", "hens"]


def test_an_order_that_cannot_load_is_corrected_and_the_relation_named(resolve):
    resolution = resolve(GIFTS, KIOSK, AUTH)
    assert names(resolution) == ["auth", "kiosk", "gifts"]
    (kiosk,) = found(resolution, "order")
    (gifts,) = found(resolution, "plugin-before-parent")
    assert kiosk == Finding(
        code="order",
        severity=Severity.WARNING,
        definition="kiosk",
        model="kiosk.Ware",
        field="seller",
        target="auth.User",
        message="Definition 'kiosk' comes after 'auth', not before it: "
        "kiosk.Ware.seller refers to auth.User.",
        hint="Move 'auth' before 'kiosk' in DISKETTE_APPS.",
    )
    assert (gifts.definition, gifts.model, gifts.target) == (
        "gifts",
        "gifts.GiftOffer",
        "kiosk.Offer",
    )


def test_definitions_in_a_circle_stay_as_configured(resolve):
    eggs, hens = ["eggs", {"models": "kiosk.Egg"}], ["hens", {"models": "kiosk.Hen"}]
    for configured in ([eggs, hens], [hens, eggs]):
        resolution = resolve(*configured)
        assert names(resolution) == [name for name, _ in configured]
        assert not found(resolution, "order")


def test_a_required_reference_decides_between_definitions_in_a_circle(resolve):
    wares, shelves = ["wares", {"models": "kiosk.Ware"}], ["shelves", {"models": "kiosk.Shelf"}]
    resolution = resolve(wares, shelves)
    assert names(resolution) == ["shelves", "wares"]
    (finding,) = found(resolution, "order")
    assert "kiosk.Ware.shelf refers to kiosk.Shelf" in finding.message


def test_a_drain_that_is_referred_to_comes_last_all_the_same_and_that_is_said(resolve):
    resolution = resolve(REST, KIOSK)
    assert names(resolution) == ["kiosk", "rest"]
    (finding,) = found(resolution, "order")
    assert finding.severity is Severity.INFO
    assert "kiosk.Ware.seller refers to auth.User" in finding.message


def test_models_are_in_load_order_within_and_over_all_definitions(resolve):
    resolution = resolve(GIFTS, KIOSK, AUTH)
    assert resolution.load_order == registry.load_order(resolution.load_order)
    for definition in resolution.definitions:
        assert definition.models == tuple(
            model for model in resolution.load_order if model in definition.models
        )
    assert sum(len(each.models) for each in resolution.definitions) == len(resolution.load_order)


# What is left out, and what that breaks


def test_proxies_unmanaged_swapped_and_foreign_tables_are_named_in_one_finding(project, resolve):
    project.KIOSK_CART_MODEL = "kiosk.Egg"
    resolution = resolve(["tags", {"models": "kiosk.Tag"}])
    (finding,) = found(resolution, "left-out")
    assert finding.severity is Severity.INFO
    assert finding.message == (
        "Left out: kiosk.CheapWare (a proxy, its rows are kiosk.Ware's), "
        "kiosk.Legacy (unmanaged, its table is not Django's), "
        "kiosk.Cart (swapped for kiosk.Egg), "
        "kiosk.Vault (its table is not made on SQLite)."
    )


def test_a_definition_of_what_is_never_dumped_is_no_mistake(resolve):
    resolution = resolve(
        ["types", {"models": "contenttypes"}],
        ["sessions", {"models": ["sessions", "auth.Permission"]}],
        ["proxy", {"models": ["kiosk.CheapWare"]}],
        ["groups", {"models": "auth.Group"}],
    )
    assert names(resolution) == ["groups"]
    types, sessions = found(resolution, "never-dumped")
    assert "contenttypes.ContentType (migrate makes its rows" in types.message
    assert "sessions.Session (sessions of this installation's visitors)" in sessions.message
    assert {each.severity for each in (types, sessions)} == {Severity.INFO}


def test_a_command_of_its_own_is_not_run(resolve):
    (finding,) = found(
        resolve(["g", {"models": "auth.Group", "dump_command": "polymorphic_dumpdata"}]),
        "dump-command",
    )
    assert finding.severity is Severity.INFO
    assert "'polymorphic_dumpdata' is not run" in finding.message


@pytest.mark.parametrize(
    ("entries", "field", "why"),
    [
        (
            [
                ["auth", {"models": "auth", "excludes": ["auth.User"]}],
                ["k", {"models": "kiosk.Ware"}],
            ],
            "seller",
            "is excluded by definition 'auth'",
        ),
        ([["k", {"models": ["kiosk.Ware"]}]], "seller", "is in no definition"),
        ([["k", {"models": ["kiosk.Visit"]}]], "session", "is never dumped"),
        ([["k", {"models": ["kiosk.Offer"]}]], "ware_ptr", "is in no definition"),
        ([["k", {"models": ["kiosk.Tag", "kiosk.Ware_tags"]}]], "ware", "is in no definition"),
    ],
)
def test_a_reference_to_what_is_left_out_is_told(resolve, entries, field, why):
    findings = {each.field: each for each in found(resolve(*entries), "excluded-target")}
    assert findings[field].severity is Severity.WARNING
    assert why in findings[field].message
    assert "Integrity error: ForeignKey missing" in findings[field].message
    assert findings[field].hint


def test_references_to_content_types_and_permissions_are_complete_without_them(resolve):
    resolution = resolve(
        ["k", {"models": ["kiosk.Remark", "kiosk.Tag"]}], ["g", {"models": "auth.Group"}]
    )
    assert not found(resolution, "excluded-target")


def test_keys_that_are_not_written_may_not_be_referred_to(resolve):
    tags = ["tags", {"models": "kiosk.Tag", "natural_primary": True, "natural_foreign": True}]
    wares = ["wares", {"models": ["kiosk.Ware"]}]
    (finding,) = found(resolve(tags, wares), "natural-primary")
    assert finding.severity is Severity.ERROR
    assert (finding.definition, finding.model, finding.field) == ("wares", "kiosk.Ware_tags", "tag")
    wares[1]["natural_foreign"] = True
    assert not found(resolve(tags, wares), "natural-primary")


# Choosing


def test_definitions_are_chosen_by_name(resolve):
    resolution = resolve(GIFTS, KIOSK, AUTH, only=["auth", "kiosk"])
    assert names(resolution) == ["auth", "kiosk"]
    assert {finding.definition for finding in resolution.findings} <= {"auth", "kiosk", None}


def test_a_drain_chosen_alone_takes_no_more_than_otherwise(resolve):
    assert shares(resolve(AUTH, REST, KIOSK, only=["rest"])) == {
        "rest": {"gifts.GiftOffer", "gifts.Card"}
    }


def test_references_to_definitions_that_were_not_chosen_are_told(resolve):
    resolution = resolve(AUTH, KIOSK, only=["kiosk"])
    (finding,) = [f for f in found(resolution, "excluded-target") if f.field == "seller"]
    assert finding.severity is Severity.INFO
    assert "is in definition 'auth', not chosen here" in finding.message


def test_an_unknown_name_is_a_usage_error_that_names_the_known_ones(resolve):
    with pytest.raises(UsageError, match=r"No definition is named 'ghost'. There are: auth, kiosk"):
        resolve(AUTH, KIOSK, only=["auth", "ghost"])
    with pytest.raises(UsageError, match="Did you mean 'kiosk'"):
        resolve(AUTH, KIOSK, only=["kiosks"])
