"""The routes that change a Hub: repositories, large files, commits, branches and tags."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from loopback_hub_routes import API, REVISION, WEB, Call, find_repository, route
from loopback_hub_state import KINDS, File, HubError, Repository

if TYPE_CHECKING:
    from loopback_hub import Hub

LFS = r"/lfs/(?P<kind>model|dataset|space)/(?P<id>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})"
NAME = re.compile(r"(?!.*(--|\.\.))\w(?:[\w.-]{0,94}\w)?", re.ASCII)


@route("POST /api/repos/create", "login")
async def create_repository(hub: "Hub", call: Call) -> web.Response:
    asked, user = call.json, call.user
    assert user is not None
    kind, name = asked.get("type") or "model", asked["name"]
    repo_id = f"{asked.get('organization') or user.name}/{name}"
    if kind not in KINDS or not NAME.fullmatch(name) or name.endswith((".git", ".ipynb")):
        raise HubError(400, f"Invalid repository: {kind} {repo_id}")
    if not user.may_write(repo_id):
        namespace = repo_id.split("/")[0]
        raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
    if there := hub.repositories.get((kind, repo_id)):
        call.repository = there
        body = {"error": f"You already created this {kind} repo", "url": call.web_url}
        return web.json_response(body, status=409, headers={"X-Error-Message": body["error"]})
    call.repository = hub.create(
        kind, repo_id, private=asked.get("visibility") == "private" or bool(asked.get("private"))
    )
    return web.json_response({"url": call.web_url, "name": repo_id, "id": repo_id})


@route("DELETE /api/repos/delete", "login")
async def delete_repository(hub: "Hub", call: Call) -> web.Response:
    asked, user = call.json, call.user
    assert user is not None
    kind, repo_id = asked.get("type") or "model", f"{asked.get('organization') or user.name}/{asked['name']}"
    find_repository(hub, kind, repo_id, user, "write")
    del hub.repositories[kind, repo_id]
    return web.Response(text="OK")


@route(f"PUT {API}/settings", "write")
async def settings(hub: "Hub", call: Call) -> web.Response:
    call.repository.gated = bool(call.json.get("gated", call.repository.gated))
    if "visibility" in call.json:
        call.repository.private = call.json["visibility"] == "private"
    return web.json_response({"private": call.repository.private, "gated": call.repository.gated})


@route(f"POST {API}/preupload/{REVISION}", "write")
async def preupload(hub: "Hub", call: Call) -> web.Response:
    repository, head = call.repository, call.repository.resolve(call.revision)
    files = []
    for file in call.json["files"]:
        sample = base64.b64decode(file["sample"])
        mode = "lfs" if repository.wants_lfs(file["path"], file["size"], sample, call.revision) else "regular"
        there = head.files.get(file["path"])
        oid = {"oid": there.sha256 if there.lfs else there.oid} if there else {}
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
    return web.json_response({"files": files, "commitOid": head.oid})


@route(f"POST {API}/commit/{REVISION}", "write")
async def commit(hub: "Hub", call: Call) -> web.Response:
    repository, branch = call.repository, call.revision
    if branch not in repository.branches:
        repository.resolve(branch)
        raise HubError(400, f"{branch} is not a branch")
    if "create_pr" in call.request.query:
        raise HubError(501, "The loopback Hub has no pull requests")
    lines = [json.loads(line) for line in call.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    head = repository.branches[branch]
    if not head.startswith(header.get("parentCommit") or ""):
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    changes = _changes(repository, repository.files(branch), lines)
    author = call.user.name if call.user else ""
    made = repository.commit(changes, header["summary"], header.get("description", ""), author, branch)
    url = f"{call.web_url}/commit/{made.oid}"
    return web.json_response({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def _changes(
    repository: Repository, before: Mapping[str, File], lines: list[dict[str, Any]]
) -> dict[str, bytes | File | None]:
    changes: dict[str, bytes | File | None] = {}
    for line in lines:
        key, value = line["key"], line["value"]
        if key == "file":
            changes[value["path"]] = repository.regular_file(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            if value["oid"] not in repository.lfs:
                raise HubError(400, f"LFS pointer {value['path']} points to a file that was not uploaded")
            changes[value["path"]] = repository.lfs_file(value["oid"])
        elif key in ("deletedFile", "deletedFolder"):
            path = value["path"].rstrip("/")
            gone = [p for p in before if p == path or (key == "deletedFolder" and p.startswith(f"{path}/"))]
            if not gone:
                what = "file" if key == "deletedFile" else "folder"
                raise HubError(404, f"A {what} with this name doesn't exist: {path}", "EntryNotFound")
            changes |= dict.fromkeys(gone)
        elif key != "header":
            raise HubError(400, f"Unknown operation {key}")
    return changes


@route(f"POST {API}/branch/(?P<name>[^/]+)", "write")
async def create_branch(hub: "Hub", call: Call) -> web.Response:
    start = call.json.get("startingPoint", "main")
    if call.name in call.repository.branches:
        raise HubError(409, f"Reference already exists: refs/heads/{call.name}")
    call.repository.branches[call.name] = call.repository.resolve(start).oid
    return web.Response(text="OK", status=201)


@route(f"DELETE {API}/branch/(?P<name>[^/]+)", "write")
async def delete_branch(hub: "Hub", call: Call) -> web.Response:
    if call.name == "main":
        raise HubError(403, "Cannot delete the main branch")
    if call.repository.branches.pop(call.name, None) is None:
        raise HubError(404, f"Invalid rev id: {call.name}", "RevisionNotFound")
    return web.Response(text="OK")


@route(f"POST {API}/tag/{REVISION}", "write")
async def create_tag(hub: "Hub", call: Call) -> web.Response:
    name, target = call.json["tag"], call.repository.resolve(call.revision)
    if name in call.repository.tags:
        raise HubError(409, f"Tag reference exists already: refs/tags/{name}")
    call.repository.tags[name] = target.oid
    return web.Response(text="OK", status=201)


@route(f"DELETE {API}/tag/(?P<name>[^/]+)", "write")
async def delete_tag(hub: "Hub", call: Call) -> web.Response:
    if call.repository.tags.pop(call.name, None) is None:
        raise HubError(404, f"Invalid rev id: {call.name}", "RevisionNotFound")
    return web.Response(text="OK")


# Large files


@route(rf"POST {WEB}\.git/info/lfs/objects/batch", "write")
async def lfs_batch(hub: "Hub", call: Call) -> web.Response:
    objects, multipart = [], False
    for asked in call.json["objects"]:
        oid, size = asked["oid"], asked["size"]
        answered: dict[str, Any] = {"oid": oid, "size": size}
        if oid not in call.repository.lfs:  # else it is there already: no action
            url = f"{call.api}/lfs/{call.repository.kind}/{call.repository.id}/{oid}"
            upload: dict[str, Any] = {"href": url}
            if hub.part_bytes and size > hub.part_bytes:
                multipart = True
                count = -(-size // hub.part_bytes)
                parts = {str(n): f"{url}/part/{n}" for n in range(1, count + 1)}
                upload = {"href": f"{url}/complete", "header": {"chunk_size": str(hub.part_bytes), **parts}}
            answered["actions"] = {"upload": upload, "verify": {"href": f"{url}/verify"}}
        objects.append(answered)
    return web.json_response({"transfer": "multipart" if multipart else "basic", "objects": objects})


@route(f"PUT {LFS}", "signed")
async def lfs_upload(hub: "Hub", call: Call) -> web.Response:
    return _keep(hub, call, call.body)


@route(rf"PUT {LFS}/part/(?P<part>\d+)", "signed")
async def lfs_upload_part(hub: "Hub", call: Call) -> web.Response:
    hub.parts.setdefault(call.oid, {})[int(call.part)] = call.body
    return web.Response(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})


@route(f"POST {LFS}/complete", "signed")
async def lfs_complete(hub: "Hub", call: Call) -> web.Response:
    parts = hub.parts.pop(call.oid, {})
    return _keep(hub, call, b"".join(parts[part["partNumber"]] for part in call.json["parts"]))


def _keep(hub: "Hub", call: Call, content: bytes) -> web.Response:
    if hashlib.sha256(content).hexdigest() != call.oid:
        raise HubError(400, "The content does not have the announced SHA-256")
    call.repository.lfs[hub.contents.add(content)] = len(content)
    return web.Response()


@route(f"POST {LFS}/verify", "write")
async def lfs_verify(hub: "Hub", call: Call) -> web.Response:
    if call.repository.lfs.get(call.json["oid"]) != call.json["size"]:
        raise HubError(404, "The object was not uploaded, or has another size")
    return web.json_response({})
