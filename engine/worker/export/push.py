"""Puts a folder on the Hugging Face hub, or says what would be put there. The token is the hub library's own business.

It is read from HF_TOKEN or from what `hf auth login` left; it never stands in an argument, a file of ours or a log.
"""

from pathlib import Path

from engine.errors import FinetuiError
from engine.export.spec import Spec, Uploaded, listing
from engine.models import hub_is_off


def upload(spec: Spec, folder: Path) -> Uploaded:
    """Upload `folder`, or the one file, where the spec says so. Raises `FinetuiError` where that fails."""
    from huggingface_hub import HfApi, get_token

    files = listing(folder)
    signed_in = bool(get_token())
    if not spec.push:
        return Uploaded(spec.repo, files, spec.private, pushed=False, signed_in=signed_in)
    if off := hub_is_off():
        raise FinetuiError(
            f"{spec.repo} was not pushed.",
            why=f"{off} keeps finetui from the hub.",
            fix=f"The folder is written and stays; unset {off} and push again.",
        )
    if not signed_in:
        raise FinetuiError(
            f"{spec.repo} was not pushed.",
            why="No token for the hub was found.",
            fix="Run `hf auth login`, or set HF_TOKEN to a token that may write, and push again.",
        )
    api = HfApi()
    try:
        made = api.create_repo(spec.repo, private=spec.private, exist_ok=True)
        api.upload_folder(repo_id=spec.repo, folder_path=str(folder), commit_message=f"Upload {spec.name} from finetui")
    except Exception as error:  # whatever the library and the network raise
        raise FinetuiError(
            f"{spec.repo} could not be pushed.",
            why=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            fix="Check the name, the network and that the token may write there. What was written here stays.",
        ) from error
    return Uploaded(spec.repo, files, spec.private, pushed=True, url=str(made), signed_in=True)
