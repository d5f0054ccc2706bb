"""Made-up secrets as users have them, and a search for them in every byte that finetui left."""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

SECRETS = {
    "HF_TOKEN": "hf_Qr7TzLmNoPkVbWxYcDeFgHiJkLmNoPqRsT",
    "WANDB_API_KEY": "4f9d8c7b6a5e4d3c2b1a0f9e8d7c6b5a4f3e2d1c",
    "OPENAI_API_KEY": "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4f",
    "AWS_ACCESS_KEY_ID": "AKIAQ7ZZ3MKD5XVN2PLT",
    "AWS_SECRET_ACCESS_KEY": "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",
    "DATABASE_URL": "postgres://ann:Gr3nzFl4sche@db.internal/models",
    "HTTPS_PROXY": "http://proxy:Pr0xyW0rt77@127.0.0.1:9",
    "MY_OWN_PASSWORD": "Kr4ehenfeld!19",
}
"""By the environment variable that holds each."""

HOOK = "T0QX7-B81-p4Zn2vKe9uGm3xYd"
"""The secret part of a webhook's address, as `settings.toml` holds it."""

SETTINGS = f'[alerts]\nwebhook = "http://127.0.0.1:9/services/{HOOK}"\n'


def needles() -> dict[str, bytes]:
    """What to look for, by what it is: of addresses the password alone."""
    found = {name: value.rpartition("@")[0].rpartition(":")[2] or value for name, value in SECRETS.items()}
    return {name: value.encode() for name, value in (found | {"webhook": HOOK}).items()}


def leaks(places: Iterable[Path], but: Iterable[Path] = ()) -> list[str]:
    """`secret in file` for each that is found in a file, a name, or an archive's member. `but` are not looked into."""
    wanted, left_out = needles(), set(but)
    return [
        f"{name} in {label}"
        for place in places
        for label, content in _contents(place)
        if Path(label) not in left_out
        for name, value in wanted.items()
        if value in content or value in label.encode()
    ]


def _contents(place: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if not path.is_file() or path.is_symlink():
            continue
        yield str(path), path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{path}!{member}", archive.read(member)
