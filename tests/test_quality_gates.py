"""What keeps a release from being published: too many failed rows, rows made by rules, rows that were changed."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.manifest import FORMAT_KEY, dump_manifest
from tagsmith.cards.quality_gates import check_contents, check_gates, check_offline


def manifest(rows_in=1000, offline=False, **rejected):
    return {"offline": offline, "counts": {"rows_in": rows_in, "rejected": rejected}}


def test_the_share_the_reasons_and_the_limit_are_said():
    with pytest.raises(ReleaseError) as caught:
        check_gates(manifest(1000, endpoint=20, unparsed=1, empty=30), max_failed=0.05, allow_offline=False)
    assert str(caught.value).startswith(
        "51 of 1,000 rows were rejected (30 empty, 20 endpoint, 1 unparsed): 5.10%, and at most 5.00% may be;"
    )
    assert "--max_failed" in str(caught.value)


@given(st.integers(0, 2000), st.integers(0, 2000), st.floats(0, 1))
def test_the_limit_itself_is_allowed(rows_in, failed, limit):
    given_up = manifest(rows_in, unparsed=failed)
    if failed <= limit * rows_in:
        assert check_gates(given_up, max_failed=limit, allow_offline=False) is None
    else:
        with pytest.raises(ReleaseError, match="rows were rejected"):
            check_gates(given_up, max_failed=limit, allow_offline=False)


def test_many_reasons_are_cut_short():
    reasons = {f"reason{n}": n + 1 for n in range(9)}
    with pytest.raises(ReleaseError, match=r"\(9 reason8, 8 reason7, 7 reason6, 6 reason5, 5 reason4, …\)"):
        check_gates(manifest(50, **reasons), max_failed=0.5, allow_offline=False)


@pytest.mark.parametrize("limit", [-0.01, 1.01, 5, float("nan")])
def test_a_limit_that_is_no_share(limit):
    with pytest.raises(ReleaseError, match="max_failed is a share from 0 to 1"):
        check_gates(manifest(), max_failed=limit, allow_offline=False)


def test_rows_made_by_rules_need_leave():
    with pytest.raises(ReleaseError, match="--allow_offline"):
        check_gates(manifest(offline=True), max_failed=1, allow_offline=False)
    with pytest.raises(ReleaseError, match="not published unasked"):
        check_offline(offline=True, allow_offline=False)
    assert check_gates(manifest(offline=True), max_failed=0, allow_offline=True) is None
    assert check_offline(offline=False, allow_offline=False) is None


@pytest.fixture
def folder(tmp_path):
    """A release of two configs, one without rows."""
    configs = {}
    for name, texts in {"data": ["a", "b"], "rejected": []}.items():
        (tmp_path / name).mkdir()
        rows = Dataset(pa.table({"text": pa.array(texts, pa.string())}))
        pq.write_table(rows.data.table, tmp_path / name / "train-00000-of-00001.parquet")
        facts = {"rows": len(rows), "content_hash": content_hash(rows), "path": f"{name}/train-*.parquet"}
        configs[name] = {"train": facts}
    (tmp_path / "manifest.json").write_text(dump_manifest({FORMAT_KEY: 1, "configs": configs}))
    return tmp_path, {"configs": configs}


def test_rows_as_written_pass(folder):
    assert check_contents(*folder) is None


def test_rows_that_were_changed(folder):
    where, said = folder
    pq.write_table(pa.table({"text": ["a", "B"]}), where / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(ReleaseError, match="rows of config 'data', split 'train', are not those that the manifest"):
        check_contents(where, said)


@pytest.mark.parametrize("damage", ["cut", "missing", "no folder"])
def test_files_that_cannot_be_read(folder, damage):
    where, said = folder
    path = where / "rejected" / "train-00000-of-00001.parquet"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "missing":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    with pytest.raises(ReleaseError, match="config 'rejected' cannot be read") as caught:
        check_contents(where, said)
    assert "\n" not in str(caught.value)
