"""Licences are combined to one that no source forbids: never to a laxer one, and to none where that is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.cards.licence import TERMS, Terms, combine_licences, output_terms

NON_COMMERCIAL = {Terms.NON_COMMERCIAL, Terms.NON_COMMERCIAL_SHARE_ALIKE, Terms.RESEARCH_ONLY}


@pytest.mark.parametrize(
    ("sources", "made"),
    [
        # one, or several equal ones
        (["apache-2.0"], "apache-2.0"),
        (["cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["Apache 2.0", "apache-2.0"], "apache-2.0"),
        (["llama3.1"], "llama3.1"),
        # a non-commercial source is never re-licensed
        (["cc-by-nc-4.0", "apache-2.0", "mit"], "cc-by-nc-4.0"),
        (["cc-by-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        # share-alike stays share-alike
        (["mit", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["apache-2.0", "gpl-3.0"], "gpl-3.0"),
        # a later version of Creative Commons covers an earlier one
        (["cc-by-sa-3.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["cc-by-nc-4.0", "cc-by-nc-2.0", "cc0-1.0"], "cc-by-nc-4.0"),
        # the public domain asks for nothing, attribution covers a notice
        (["cc0-1.0", "mit"], "mit"),
        (["apache-2.0", "cc-by-4.0"], "cc-by-4.0"),
        # several open ones of a kind stay side by side
        (["mit", "apache-2.0"], ["mit", "apache-2.0"]),
        (["mit", "bsd-3-clause", "cc0-1.0"], ["mit", "bsd-3-clause"]),
        # unknown says unknown
        ([None], "unknown"),
        ([], "unknown"),
        (["cc-by-nc-4.0", None], "unknown"),
        (["unknown", "mit"], "unknown"),
    ],
)
def test_what_the_made_dataset_is_under(sources, made):
    licence = combine_licences(sources)
    assert licence.metadata("https://x") == {"license": made}
    assert licence.warning is None


@pytest.mark.parametrize(
    "sources",
    [
        ["cc-by-sa-4.0", "cc-by-nc-sa-4.0"],
        ["cc-by-sa-4.0", "cc-by-nc-4.0"],
        ["gpl-3.0", "cc-by-nc-4.0"],
        ["gpl-3.0", "cc-by-sa-4.0"],
        ["apache-2.0", "gpl-2.0"],
        ["llama3.1", "cc-by-nc-4.0"],
        ["llama3.1", "gemma"],
        ["cc-by-nc-sa-4.0", "intel-research"],
        ["house-licence", "mit"],
        ["other", "mit"],
    ],
)
def test_terms_that_contradict_each_other_are_all_named(sources):
    licence = combine_licences(sources)
    assert licence.metadata("https://x#licence") == {
        "license": "other",
        "license_name": "-and-".join(sources),
        "license_link": "https://x#licence",
    }
    assert all(f"{source} " in licence.explanation for source in sources)


def test_a_licence_that_the_hub_does_not_list_is_an_other_one_with_a_name():
    assert combine_licences(["My Licence, v2"]).metadata() == {"license": "other", "license_name": "my-licence-v2"}
    assert combine_licences(["other"]).metadata() == {"license": "other", "license_name": "see-source"}


@pytest.mark.parametrize(("more", "made"), [([], "cc-by-nd-4.0"), (["mit"], "other"), ([None], "unknown")])
def test_no_derivatives_is_warned_of_and_not_covered_by_anything(more, made):
    licence = combine_licences(["cc-by-nd-4.0", *more])
    assert licence.identifiers == (made,)
    assert licence.warning is not None
    assert "under cc-by-nd-4.0, which does not allow passing on changed versions" in licence.warning


def test_a_model_has_one_licence_where_a_dataset_may_have_several():
    both = combine_licences(["mit", "apache-2.0"])
    assert both.metadata(several=False) == {"license": "other", "license_name": "mit-and-apache-2.0"}


def test_what_is_known_beside_the_unknown_is_still_said():
    assert "cc-by-nc-4.0" in combine_licences([None, "cc-by-nc-4.0"]).explanation


@given(st.lists(st.sampled_from(sorted(TERMS)), min_size=1, max_size=4))
def test_a_combination_is_never_laxer_than_a_source(sources):
    made = combine_licences(sources)
    asked = {TERMS[source] for source in sources}
    got = {TERMS[name] for name in made.identifiers if name in TERMS}
    if made.identifiers != ("other",):
        assert set(made.identifiers) <= set(sources)
        for kinds in (NON_COMMERCIAL, {Terms.SHARE_ALIKE}, {Terms.USE_RESTRICTED}, {Terms.NO_DERIVATIVES}):
            assert not asked & kinds or got & kinds
    assert (made.warning is not None) == (Terms.NO_DERIVATIVES in asked)
    assert combine_licences(sources[::-1]).metadata().keys() == made.metadata().keys()


def test_no_identifier_is_sorted_under_two_terms():
    from tagsmith.cards.licence import _IDENTIFIERS

    assert sum(len(names.split()) for names in _IDENTIFIERS.values()) == len(TERMS)


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("llama2", "does not allow using its output to improve language models other than its own family"),
        ("llama3", "does not allow using its output to improve language models other than its own family"),
        ("llama3.3", "starts with Llama"),
        ("gemma", "derivative"),
        ("bigscience-openrail-m", "forbidden for its output"),
        ("cc-by-nc-4.0", "no commercial use of the model"),
        ("apple-amlr", "no commercial use of the model"),
        ("apache-2.0", None),
        (None, None),
    ],
)
def test_licences_of_models_that_say_something_of_their_output_are_noted(licence, said):
    notes = output_terms([{"model": "org/m", "role": "tagger", "license": licence}] * 2)
    assert len(notes) == (said is not None)
    assert said is None or (said in notes[0] and "org/m" in notes[0])
