"""The Hub's HTTP interface, as far as huggingface_hub 2.4 and datasets 5.2 use it to push, tag, list and load."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import yaml
from aiohttp import web
from loopback_hub_state import Commit, File, HubError, Repository, User, front_matter

if TYPE_CHECKING:
    from loopback_hub import Hub

API = r"/api/(?P<kind>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
WEB = r"/(?:(?P<kind>dataset|space)s/)?(?P<id>[^/]+/[^/]+?)"
SIZES = r"n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M|10M<n<100M|100M<n<1B|1B<n<10B|10B<n<100B|100B<n<1T|n>1T"
REVISION = r"(?P<revision>[^/]+)"


@dataclass
class Call:
    """A request with what it was found to be about."""

    request: web.Request
    body: bytes
    user: User | None
    repository: Repository
    revision: str = "main"
    path: str = ""
    name: str = ""
    oid: str = ""
    part: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def api(self) -> str:
        return f"{self.request.scheme}://{self.request.host}"

    @property
    def web_url(self) -> str:
        plural = "" if self.repository.kind == "model" else f"/{self.repository.kind}s"
        return f"{self.api}{plural}/{self.repository.id}"


Handler = Callable[["Hub", Call], Awaitable[web.Response]]
ROUTES: list[tuple[re.Pattern[str], str, Handler]] = []  # "METHOD path", what is needed, handler


def route(pattern: str, needs: str) -> Callable[[Handler], Handler]:
    """`needs`: "login", "nothing"; on a repository "see", "read" (also not gated), "write", "signed" (its URL is)."""

    def register(handler: Handler) -> Handler:
        ROUTES.append((re.compile(pattern), needs, handler))
        return handler

    return register


async def answer(hub: "Hub", request: web.Request, body: bytes) -> web.Response:
    """Find the handler, check what the token allows, and answer; a HubError becomes what the Hub would send."""
    try:
        user = _user(hub, request)
        for pattern, needs, handler in ROUTES:
            # Matched before decoding: a slash inside a branch's name comes as %2F.
            if match := pattern.fullmatch(f"{request.method} {request.url.raw_path}"):
                found = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                kind, repo_id = found.pop("kind", "model"), found.pop("id", "")
                repository = Repository("", "", hub.contents)
                if repo_id:
                    repository = find_repository(hub, kind, repo_id, user, needs)
                elif needs == "login" and user is None:
                    raise HubError(401, "Invalid username or password.")
                return await handler(hub, Call(request, body, user, repository, **found))
        raise HubError(404, f"The loopback Hub has no route {request.method} {request.path}")
    except HubError as error:
        headers = {"X-Error-Message": error.message.replace("\n", " "), **error.headers}
        if error.code:
            headers["X-Error-Code"] = error.code
        return web.json_response({"error": error.message}, status=error.status, headers=headers)


def _user(hub: "Hub", request: web.Request) -> User | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme != "Bearer" or token not in hub.users:
        raise HubError(401, "Invalid credentials in Authorization header")
    return hub.users[token]


def find_repository(hub: "Hub", kind: str, repo_id: str, user: User | None, needs: str) -> Repository:
    repository = hub.repositories.get((kind, repo_id))
    if needs == "signed" and repository:
        return repository
    inside = user is not None and user.may_see(repo_id)
    if repository is None or (repository.private and not inside):
        # The Hub does not tell a stranger whether it exists.
        raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
    if needs == "write" and user is None:
        raise HubError(401, "Invalid username or password.")
    if needs == "write" and user is not None and not user.may_write(repo_id):
        raise HubError(403, f"Forbidden: pass a token that may write to {repo_id}")
    if needs == "read" and repository.gated and not inside:
        raise HubError(403 if user else 401, f"Access to {kind} {repo_id} is restricted", "GatedRepo")
    return repository


# Accounts and repositories


@route("GET /api/whoami-v2", "login")
async def whoami(hub: "Hub", call: Call) -> web.Response:
    user = call.user
    assert user is not None
    token: dict[str, Any] = {"displayName": f"{user.role} token", "role": user.role}
    if user.role == "fineGrained":
        permissions = ["repo.content.read", "repo.write"]
        entities = [{"type": "repo" if "/" in scope else "user", "name": scope} for scope in user.scopes]
        token["fineGrained"] = {
            "canReadGatedRepos": False,
            "global": [],
            "scoped": [{"entity": entity, "permissions": permissions} for entity in entities],
        }
    orgs = [{"type": "org", "name": name, "fullname": name, "roleInOrg": role} for name, role in user.orgs.items()]
    about = {"type": "user", "id": user.name, "name": user.name, "fullname": user.name, "isPro": False, "orgs": orgs}
    return web.json_response({**about, "auth": {"type": "access_token", "accessToken": token}})


@route(f"GET {API}/auth-check", "read")
@route(f"GET {API}/auth-check/write", "write")
async def check_access(hub: "Hub", call: Call) -> web.Response:
    return web.Response(text="OK")


@route("POST /api/validate-yaml", "nothing")
async def validate_yaml(hub: "Hub", call: Call) -> web.Response:
    try:
        metadata = front_matter(call.json["content"])
        errors = [f'"{key}" must be one of the Hub\'s identifiers, got {value!r}' for key, value in _odd(metadata)]
    except yaml.YAMLError as error:
        metadata, errors = {}, [f"YAML metadata: {' '.join(str(error).split())}"]
    warnings = [] if metadata else ["empty or missing yaml metadata in repo card"]
    body = {"errors": [{"message": error} for error in errors], "warnings": [{"message": text} for text in warnings]}
    return web.json_response(body, status=400 if errors else 200)


def _odd(metadata: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """Metadata that the Hub refuses. It has lists of names; here only their form is looked at."""
    forms = {"license": r"[a-z0-9][a-z0-9.+-]*", "language": r"[a-z]{2,3}|code|multilingual", "size_categories": SIZES}
    values = [(key, value) for key in forms for value in _list((metadata or {}).get(key))]
    return [(key, value) for key, value in values if not re.fullmatch(forms[key], str(value))]


# Looking at a repository


@route(f"GET {API}(?:/revision/{REVISION})?", "see")
async def info(hub: "Hub", call: Call) -> web.Response:
    repository = call.repository
    commit, card = repository.resolve(call.revision), repository.card(call.revision)
    facets = ("license", "language", "task_categories", "size_categories")
    tags = [f"{facet}:{value}" for facet in facets for value in _list(card.get(facet))]
    siblings = [(path, _blob(file) if _asks(call, "blobs") else {}) for path, file in sorted(commit.files.items())]
    about: dict[str, Any] = {
        "_id": hashlib.sha1(repository.id.encode()).hexdigest()[:24],
        "id": repository.id,
        "author": repository.id.split("/")[0],
        "sha": commit.oid,
        "createdAt": repository.commits("main")[-1].date,
        "lastModified": repository.resolve("main").date,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [*tags, *_list(card.get("tags"))],
        "cardData": card,
        "usedStorage": sum(repository.lfs.values()),
        "siblings": [{"rfilename": path, **blob} for path, blob in siblings],
    }
    wanted = call.request.query.getall("expand[]", call.request.query.getall("expand", []))
    keep = {"_id", "id", *wanted} if wanted else set(about)
    return web.json_response({key: value for key, value in about.items() if key in keep})


def _asks(call: Call, option: str) -> bool:
    return call.request.query.get(option) in ("1", "true", "True")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _blob(file: File) -> dict[str, Any]:
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
    return {"size": file.size, "blobId": file.oid, **({"lfs": lfs} if file.lfs else {})}


@route(f"GET {API}/tree/{REVISION}(?:/(?P<path>.+))?", "read")
async def tree(hub: "Hub", call: Call) -> web.Response:
    commit, prefix = call.repository.resolve(call.revision), f"{call.path}/" if call.path else ""
    found, expand = _entries(commit), _asks(call, "expand")
    paths = [path for path in found if path.startswith(prefix)]
    if prefix and not paths:
        raise HubError(404, f"{call.path} does not exist on {call.revision}", "EntryNotFound")
    if not _asks(call, "recursive"):
        paths = [path for path in paths if "/" not in path.removeprefix(prefix)]
    entries = [found[path] | (_last_change(commit) if expand else {}) for path in sorted(paths)]
    return _page(hub, call, entries, min(hub.page_size, 50) if expand else hub.page_size)


def _entries(commit: Commit) -> dict[str, dict[str, Any]]:
    """Every file and folder of a commit, as the tree lists it."""
    entries: dict[str, dict[str, Any]] = {}
    for path, file in commit.files.items():
        lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
        entries[path] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
        if file.lfs:
            entries[path]["lfs"] = lfs
        for end in (i for i, letter in enumerate(path) if letter == "/"):
            folder = path[:end]
            oid = hashlib.sha1(f"{commit.oid} {folder}".encode()).hexdigest()
            entries[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
    return entries


def _last_change(commit: Commit) -> dict[str, Any]:
    return {"lastCommit": {"id": commit.oid, "title": commit.title, "date": commit.date}}


def _page(hub: "Hub", call: Call, items: list[Any], size: int) -> web.Response:
    start = int(call.request.query.get("cursor", 0))
    headers = {"X-Total-Count": str(len(items))}
    if start + size < len(items):
        following = call.request.url.update_query(cursor=str(start + size))
        headers["Link"] = f'<{following}>; rel="next"'
    return web.json_response(items[start : start + size], headers=headers)


@route(f"POST {API}/paths-info/{REVISION}", "read")
async def paths_info(hub: "Hub", call: Call) -> web.Response:
    commit, form = call.repository.resolve(call.revision), await call.request.post()
    found, expand = _entries(commit), form.get("expand") in ("1", "true", "True")
    paths = [str(path).strip("/") for path in form.getall("paths", [])]
    return web.json_response([found[p] | (_last_change(commit) if expand else {}) for p in paths if p in found])


@route(f"GET {API}/refs", "see")
async def refs(hub: "Hub", call: Call) -> web.Response:
    def listed(group: str, names: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": n, "ref": f"refs/{group}/{n}", "targetCommit": oid} for n, oid in names.items()]

    branches, tags = listed("heads", call.repository.branches), listed("tags", call.repository.tags)
    return web.json_response({"branches": branches, "converts": [], "tags": tags, "pullRequests": []})


@route(f"GET {API}/commits/{REVISION}", "see")
async def commits(hub: "Hub", call: Call) -> web.Response:
    listed = [
        {"id": c.oid, "title": c.title, "message": c.message, "authors": [{"user": c.author}], "date": c.date}
        for c in call.repository.commits(call.revision)
    ]
    return _page(hub, call, listed, hub.page_size)


@route(f"(?:GET|HEAD) {WEB}/resolve/{REVISION}/(?P<path>.+)", "read")
async def resolve(hub: "Hub", call: Call) -> web.Response:
    commit = call.repository.resolve(call.revision)
    file = commit.files.get(call.path)
    if file is None:
        raise HubError(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit.oid})
    etag = file.sha256 if file.lfs else file.oid
    headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(file.size)}
    status, start, end = 200, 0, file.size
    if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", call.request.headers.get("Range", "")):
        first, last = asked.groups()
        start = int(first) if first else max(0, file.size - int(last))
        end = min(int(last) + 1, file.size) if first and last else file.size
        if start >= end:
            raise HubError(416, "Requested range not satisfiable", **{"Content-Range": f"bytes */{file.size}"})
        status, headers["Content-Range"] = 206, f"bytes {start}-{end - 1}/{file.size}"
    content = call.repository.contents.get(file.sha256, start, end)
    return web.Response(body=content, status=status, headers=headers, content_type="application/octet-stream")
