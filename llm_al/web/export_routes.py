"""Files for other programs: made on demand, and fetched by their name in the folder."""

import re
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from llm_al.exchange import export_records
from llm_al.project import Project
from llm_al.web.answers import Json
from llm_al.web.bodies import ExportBody
from llm_al.web.sessions import needs_owner
from llm_al.web.site import site_of

__all__ = ["router"]

router = APIRouter(dependencies=[needs_owner])

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")
_LABELS = frozenset({"csv", "jsonl", "parquet"})
_SUFFIXES = {"argilla": ".json", "doccano": ".jsonl", "label_studio": ".json", "prodigy": ".jsonl"}


def _files(project: Project) -> dict[str, FilePath]:
    """Return the plain files of the exports folder by name; links and hidden files are none."""
    folder = project.folder / "exports"
    if not folder.is_dir() or folder.is_symlink():
        return {}
    items = sorted(folder.iterdir())
    return {item.name: item for item in items if _NAME.fullmatch(item.name) and _is_plain(item)}


def _is_plain(path: FilePath) -> bool:
    return not path.is_symlink() and path.is_file()


def _write(project: Project, kind: str) -> str:
    folder = project.folder / "exports"
    folder.mkdir(exist_ok=True)
    if kind in _LABELS:
        # A spreadsheet would run a text that begins like a formula.
        return project.export(folder / f"labels.{kind}", spreadsheet_safe=kind == "csv").name
    return export_records(project, kind, folder / f"{kind}{_SUFFIXES[kind]}").name


@router.post("/api/exports")
async def export(request: Request, body: ExportBody) -> Response:
    """Write a file anew."""
    site = site_of(request)
    return Json({"file": await site.exports.run(partial(_write, site.project, body.format))})


@router.get("/api/exports")
def exports(request: Request) -> Response:
    """Return the files that can be fetched."""
    found = [(name, path.stat()) for name, path in _files(site_of(request).project).items()]
    return Json({"files": [{"name": name, "bytes": stat.st_size, "created_s": stat.st_mtime} for name, stat in found]})


@router.get("/exports/{file}")
def fetch(request: Request, file: Annotated[str, Path(max_length=200)]) -> Response:
    """Return a file to keep."""
    path = _files(site_of(request).project).get(file)
    if path is None:
        raise HTTPException(404, "there is no such file")
    return FileResponse(path, filename=path.name, media_type="application/octet-stream")
