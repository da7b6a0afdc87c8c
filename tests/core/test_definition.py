from __future__ import annotations

import copy

import pytest

from diskette.core.definition import Definition, default_filename
from diskette.core.exceptions import ConfigurationError

FULL = [
    "blog",
    {
        "comments": "Articles",
        "natural_foreign": True,
        "natural_primary": True,
        "use_base_manager": False,
        "allow_drain": True,
        "is_drain": False,
        "dump_command": "polymorphic_dumpdata",
        "filename": "articles.jsonl",
        "models": ["blog", "tags.Tag"],
        "excludes": ["blog.Draft"],
        "database": "archive",
    },
]


def problems_of(entry: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        Definition.from_setting(entry)
    return caught.value.problems


def test_every_parameter_of_the_original_is_read():
    assert Definition.from_setting(FULL) == Definition(
        name="blog",
        models=("blog", "tags.Tag"),
        excludes=("blog.Draft",),
        database="archive",
        comments="Articles",
        natural_foreign=True,
        natural_primary=True,
        use_base_manager=False,
        allow_drain=True,
        dump_command="polymorphic_dumpdata",
        filename="articles.jsonl",
    )


def test_reading_changes_nothing_in_the_settings():
    entry = ["rest", {"is_drain": True, "drain_excluded": True, "excludes": ["blog.Draft"]}]
    before = copy.deepcopy(entry)
    for _ in range(2):
        Definition.from_setting(entry)
    assert entry == before


def test_one_label_may_stand_alone():
    assert Definition.from_setting(("sites", {"models": "sites"})).models == ("sites",)


def test_a_label_given_twice_counts_once():
    assert Definition.from_setting(["a", {"models": ["b", "c", "b"]}]).models == ("b", "c")


def test_none_means_not_given():
    entry = ["blog", {"models": "blog"} | dict.fromkeys(set(FULL[1]) - {"models"})]
    assert Definition.from_setting(entry) == Definition.from_setting(["blog", {"models": "blog"}])


def test_the_base_manager_is_left_only_when_that_is_said():
    assert Definition.from_setting(["a", {"models": "a"}]).use_base_manager is None
    said = Definition.from_setting(["a", {"models": "a", "use_base_manager": False}])
    assert said.use_base_manager is False


def test_a_drain_ignores_models_and_allow_drain():
    drain = Definition.from_setting(
        ["rest", {"is_drain": True, "models": "x", "allow_drain": True}]
    )
    assert (drain.models, drain.allow_drain) == ((), False)


@pytest.mark.parametrize(
    ("name", "filename"),
    [
        ("django.contrib.auth", "djangocontribauth.json"),
        ("My blog", "my-blog.json"),
        ("Café", "cafe.json"),
        ("日本", "日本.json"),
        ("?!", ""),
    ],
)
def test_the_default_file_name_is_the_originals(name, filename):
    assert default_filename(name) == filename


@pytest.mark.parametrize(
    "entry",
    ["blog", [], ["blog"], ["blog", None], ["", {}], [1, {}], ["blog", {}, {}], {"blog": {}}, None],
)
def test_an_entry_of_another_form_is_shown_the_right_one(entry):
    (problem,) = problems_of(entry)
    assert "is not [name, {parameters}]" in problem
    assert "['blog', {'models': ['blog']}]" in problem


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "'models' must not be an empty value"),
        ({"models": []}, "'models' must not be an empty value"),
        ({"models": ""}, "'models' must not be an empty value"),
        ({"models": {"a": 1}}, "'models' must be a label or a list of labels"),
        ({"models": ["a", 1]}, "'models' must be a label or a list of labels"),
        ({"models": "a", "excludes": "a.B"}, "'excludes' must be a list"),
        ({"models": "a", "excludes": ["a"]}, "fully qualified labels (like 'blog.Article')"),
        ({"models": "a", "excludes": ["a."]}, "these are not: 'a.'"),
        ({"models": "a", "excludes": ["a.b.C"]}, "these are not: 'a.b.C'"),
        ({"models": "a", "natural_foreign": "yes"}, "'natural_foreign' must be True or False"),
        ({"models": "a", "is_drain": 1}, "'is_drain' must be True or False"),
        ({"models": "a", "filename": "data"}, "must end in one of the extensions"),
        ({"models": "a", "filename": "data.csv"}, "json, jsonl, xml, yaml; not 'csv'"),
        ({"models": "a", "filename": "x/data.json"}, "without a directory"),
        ({"models": "a", "filename": 5}, "'filename' must be a name in quotes"),
        ({"models": "a", "database": ""}, "'database' must be a name in quotes"),
        ({"models": "a", "dump_command": []}, "'dump_command' must be a name in quotes"),
        ({"models": "a", "drain_excluded": True}, "'drain_excluded' belongs to a drain"),
        ({"model": "a", "models": "a"}, "Did you mean 'models'?"),
        ({"models": "a", "zzz": 1}, "There are: comments, "),
        ({"models": "a", 7: 1}, "7 is no parameter"),
    ],
)
def test_each_mistake_names_the_definition_and_the_cure(parameters, expected):
    (problem,) = problems_of(["blog", parameters])
    assert problem.startswith("Definition 'blog': ")
    assert expected in problem


def test_a_name_that_names_no_file_needs_a_file_name():
    (problem,) = problems_of(["?!", {"models": "a"}])
    assert "Set 'filename'" in problem
    assert Definition.from_setting(["?!", {"models": "a", "filename": "a.json"}]).name == "?!"


@pytest.mark.parametrize("name", ["x" * 151, "two\nlines", "bell\a"])
def test_a_name_that_no_report_could_show_is_refused(name):
    (problem,) = problems_of([name, {"models": "a"}])
    assert "one line of at most 150 characters" in problem


def test_all_mistakes_are_told_at_once():
    problems = problems_of(["blog", {"excludes": "a", "natural_primary": 0, "colour": "red"}])
    assert len(problems) == 4
