"""What is asked before a run: every reason why the Hub would not take a release, and nothing changed there."""

from types import SimpleNamespace

import pytest
from huggingface_hub import constants, get_token
from hypothesis import given
from hypothesis import strategies as st
from loopback_hub import User

from tagsmith.cards import hub_calls
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_checks import check_access, check_may_write, check_release_name, check_target
from tagsmith.cards.hub_target import HubTarget

X = HubTarget("lab/x", "v1.0.0")


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds that were waited between tries; waiting takes no time here."""
    waited = []
    monkeypatch.setattr(hub_calls, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def ada(hub, monkeypatch):
    """The Hub, with a login that may write to ada and lab."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


def refused(target, words, check=check_target):
    """The check's one line has these words, and no token in it."""
    with pytest.raises(ReleaseError, match=words) as caught:
        check(target)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert not (token := get_token()) or token not in str(caught.value)


def unchanged(hub):
    """Nothing but questions were asked."""
    return {seen.method for seen in hub.seen} <= {"GET", "HEAD"}


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "repo_id",
    [
        "x",
        "a/b/c",
        "lab/",
        "/x",
        "lab/.x",
        "lab/x-",
        "lab/x--y",
        "lab/x..y",
        "lab/x.git",
        "lab/naïve",
        "lab/a b",
        "lab/" + "x" * 97,
        "",
    ],
)
def test_a_name_that_the_hub_would_not_take(repo_id):
    with pytest.raises(ReleaseError, match="expected org/name") as caught:
        HubTarget(repo_id, "v1.0.0")
    assert repr(repo_id) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "release",
    [
        "1.0.0",
        "v1",
        "v1.0",
        "v1.0.0.0",
        "v01.0.0",
        "V1.0.0",
        "v1.0.0-",
        "v1.0.0+x",
        "v1.0.0-a..b",
        "v1.0.0-x.lock",
        "v1.0.0 x",
        "v1.0.٣",
        "v1.0.0\n",
        "main",
    ],
)
def test_a_version_of_another_form(release):
    with pytest.raises(ReleaseError, match=r"vMAJOR\.MINOR\.PATCH, such as v1\.0\.0"):
        check_release_name(release)


@given(st.tuples(*[st.integers(0, 10**6)] * 3), st.sampled_from(["", "-rc1", "-rc.1", "-2024-05-01", "-A.0.b"]))
def test_versions_that_are_taken(numbers, suffix):
    assert check_release_name("v" + ".".join(map(str, numbers)) + suffix) is None


def test_targets_are_read_and_written():
    target = HubTarget.parse("lab/x@v1.0.0")
    assert (target, str(target), target.namespace) == (X, "lab/x@v1.0.0", "lab")
    assert HubTarget.parse("lab/m@main", repo_type="model").repo_url == f"{constants.ENDPOINT}/lab/m"
    assert X.url == f"{constants.ENDPOINT}/datasets/lab/x/tree/v1.0.0"
    for text in ("lab/x", "lab/x@", "@v1.0.0", "lab/x@ v1", ""):
        with pytest.raises(ReleaseError, match="expected"):
            HubTarget.parse(text)
    with pytest.raises(ReleaseError, match="repo_type 'space' is unknown"):
        HubTarget("lab/x", "v1.0.0", repo_type="space")


# --- the login --------------------------------------------------------------------------------------------------


def test_nobody_is_logged_in(hub):
    refused(X, "publishing lab/x needs a login .* `hf auth login`, or set HF_TOKEN")
    assert hub.seen == []


def test_a_wrong_version_is_said_before_anything_is_asked(ada):
    refused(HubTarget("lab/x", "1.0"), "release '1.0' is no version")
    assert ada.seen == []


def test_a_token_that_is_not_valid(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "NobodysToken" * 3)
    refused(X, "does not accept the token .* `hf auth login --force`, or set HF_TOKEN")
    assert unchanged(hub)


def test_a_token_that_may_only_read(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.read_token)
    refused(X, "the token may only read, and publishing lab/x writes; make one with the role `write`")
    assert unchanged(hub)


def test_somebody_elses_namespace(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.other_token)
    refused(X, "login of bob may not write to 'lab', where lab/x would be; give a repository of bob, or log in")
    assert unchanged(hub)
    assert check_target(HubTarget("bob/x", "v1.0.0")) is None


def test_a_role_in_the_organisation_that_may_only_read(hub, monkeypatch):
    hub.users[hub.token] = User("ada", orgs={"lab": "read", "club": "contributor"})
    monkeypatch.setenv("HF_TOKEN", hub.token)
    refused(X, r"may not write to 'lab' \(its role there: read\), .* give a repository of ada or club")
    assert check_target(HubTarget("club/x", "v1.0.0")) is None


def test_a_fine_grained_token(hub, monkeypatch):
    hub.users[hub.token] = User("ada", role="fineGrained", orgs={"lab": "write"}, scopes=("lab/y", "ada"))
    monkeypatch.setenv("HF_TOKEN", hub.token)
    refused(X, "fine-grained token may not write to lab/x; give it write access to the repositories of lab")
    assert check_target(HubTarget("lab/y", "v1.0.0")) is None
    assert check_target(HubTarget("ada/z", "v1.0.0")) is None


def scope(kind, name, *permissions):
    return {"entity": {"type": kind, "name": name}, "permissions": list(permissions)}


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ([scope("org", "lab", "repo.content.read", "repo.write")], True),
        ([scope("dataset", "lab/x", "repo.write")], True),
        ([scope("dataset", "lab/y", "repo.write"), scope("user", "lab", "repo.write")], True),
        ([scope("org", "lab", "repo.content.read", "discussion.write")], False),
        ([scope("model", "lab/x", "repo.write")], False),
        ([{"entity": None, "permissions": None}], False),
        ([], False),
        (None, True),  # the Hub says nothing of scopes: it will answer the push
    ],
)
def test_scopes_of_a_fine_grained_token(scopes, may):
    me = {
        "name": "ada",
        "orgs": [{"name": "lab"}],
        "auth": {"accessToken": {"role": "fineGrained", "fineGrained": {"scoped": scopes}}},
    }
    if may:
        assert check_may_write(me, X) is None
    else:
        refused(X, "fine-grained token may not write to lab/x", lambda target: check_may_write(me, target))


@pytest.mark.parametrize("me", [{"name": "lab", "type": "org"}, {"name": "ada", "orgs": [{"name": "lab"}]}])
def test_what_the_hub_does_not_say_is_left_to_the_push(me):
    assert check_may_write(me, X) is None


# --- the repository ---------------------------------------------------------------------------------------------


def test_a_repository_that_does_not_exist_yet_is_fine_and_not_made(ada):
    assert check_target(X) is None
    assert unchanged(ada)
    assert ada.repositories == {}


def test_a_release_that_exists(ada):
    repo = ada.create("dataset", "lab/x", {"manifest.json": b"{}"})
    repo.tags["v1.0.0"] = commit = repo.commits()[0].oid
    refused(X, rf"lab/x has a release v1\.0\.0 already \(commit {commit[:12]}\), .* give a higher version")
    state = check_access(X)  # as before a push of a folder that may be that release
    assert (state.tags, state.head, state.private) == ({"v1.0.0": commit}, commit, False)
    assert check_target(HubTarget("lab/x", "v1.0.1")) is None
    assert unchanged(ada)


@pytest.mark.parametrize("private", [True, False])
def test_another_visibility(ada, private):
    ada.create("dataset", "lab/x", private=private)
    now, asked, how = ("private", "public", "add --private") if private else ("public", "private", "leave --private")
    refused(HubTarget("lab/x", "v1.0.0", private=not private), f"exists and is {now}, but a {asked} one .*; {how}")
    assert check_target(HubTarget("lab/x", "v1.0.0", private=private)) is None


def test_a_branch_of_the_releases_name(ada):
    repo = ada.create("dataset", "lab/x")
    repo.branches["v1.0.0"] = repo.commits()[0].oid
    refused(X, "has a branch named v1.0.0")


def test_files_that_no_release_put_there(ada):
    files = {f"{n}.csv": b"x" for n in range(4)}
    ada.create("dataset", "lab/x", files | {"README.md": b"# x"})
    refused(X, r"holds files that no release put there \(0.csv, 1.csv, 2.csv and more\)")
    ada.create("dataset", "lab/y", files | {"manifest.json": b"{}"})
    assert check_target(HubTarget("lab/y", "v1.0.0")) is None
    ada.create("model", "lab/x", {"model.safetensors": b"x"})
    assert check_target(HubTarget("lab/x", "v1.0.0", repo_type="model")) is None


# --- the way there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [500, 503, 429, "drop", "half"])
@pytest.mark.parametrize("call", ["whoami", "GET /api/datasets/lab/x$", "/refs", "/tree/"])
def test_what_passes_is_asked_again(ada, kind, call, waits):
    ada.create("dataset", "lab/x")
    ada.fail(call, kind)
    assert check_target(X) is None
    # The library itself asks again for a tree, except where an answer broke off.
    assert len(waits) + len(ada.waits) == 1


@pytest.mark.parametrize(("kind", "said"), [(500, "HTTP 500"), (403, "HTTP 403.*use a token"), ("drop", "no answer")])
@pytest.mark.parametrize("call", ["whoami", "GET /api/datasets/lab/x$", "/refs", "/tree/"])
def test_what_stays_is_one_line(ada, kind, said, call):
    ada.create("dataset", "lab/x")
    ada.fail(call, kind, times=1000)
    refused(X, f"lab/x cannot be checked: .*{said}")
    assert unchanged(ada)


def test_a_long_ban_is_not_waited_for(scripted_server, hub, monkeypatch, waits):
    server = scripted_server(lambda seen: (429, {"error": "slow down"}, {"Retry-After": "3600"}))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    refused(X, "HTTP 429")
    assert waits == []


def test_offline_mode(ada, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(X, "lab/x cannot be checked: HF_HUB_OFFLINE is set; unset it")


def test_the_hub_cannot_be_reached(ada, waits):
    ada.stop()
    refused(X, "cannot be checked: no answer from http://127.0.0.1")
    assert waits == list(hub_calls.WAITS_SEC)


def test_a_hub_that_quotes_the_token_in_its_error(scripted_server, hub, monkeypatch, caplog):
    server = scripted_server(lambda seen: (500, {"error": f"bad: {seen.headers.get('authorization')}"}, {}))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    refused(X, r"HTTP 500: bad: Bearer \[removed\]")
    assert hub.token not in caplog.text
