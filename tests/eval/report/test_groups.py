"""Groups of questions are compared by the items of what is served and of what was chosen."""

from eval.report.groups import compare_groups
from eval.results import Result
from tests.tunings import make_result

# What is served finds all of it for four questions; what was chosen loses the third one.
NOW, NEW = [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]


def four_questions(clusters: list[str], groups: dict[str, list[str]]) -> Result:
    served, *others = make_result().settings
    chosen = make_result().decision.chosen
    items = {served.name: (NOW, [200] * 4), chosen: (NEW, [90, 110, 50, 50])}
    settings = [
        one.model_copy(update={"item_coverage": found, "item_tokens": tokens})
        for one in (served, *others)
        if one.name in items
        for found, tokens in [items[one.name]]
    ]
    return make_result(
        {
            "settings": settings,
            "question_ids": ["a", "b", "c", "d"],
            "clusters": clusters,
            "groups": groups,
        }
    )


def test_each_group_is_compared_by_its_own_questions() -> None:
    groups = {"text": ["a", "b"], "table": ["c", "d"]}
    text, table = compare_groups(four_questions(["1", "2", "3", "4"], groups))
    assert (text.name, text.num_questions) == ("text", 2)
    assert (text.coverage_now, text.coverage_new) == (1.0, 1.0)
    assert (text.tokens_now, text.tokens_new) == (200.0, 100.0)
    assert (table.coverage_now, table.coverage_new) == (1.0, 0.5)
    assert table.tokens_new == 50.0
    assert text.change is not None
    assert text.change.low == text.change.high == 0
    assert table.change is not None
    assert table.change.mean == -0.5
    assert table.change.low < -0.5 < table.change.high


def test_one_cluster_has_no_interval() -> None:
    (table,) = compare_groups(four_questions(["1", "2", "3", "3"], {"table": ["c", "d"]}))
    assert table.change is None
    assert table.coverage_new == 0.5


def test_each_cluster_counts_the_same() -> None:
    """As in what is said of all questions; else a change could stand outside its own interval."""
    (group,) = compare_groups(four_questions(["1", "2", "3", "3"], {"table": ["b", "c", "d"]}))
    assert (group.coverage_now, group.coverage_new) == (1.0, 0.75)
    assert (group.tokens_now, group.tokens_new) == (200.0, 80.0)
    assert group.change is not None
    assert group.change.mean == group.coverage_new - group.coverage_now
