"""A model folder on a Hugging Face hub, by its name there: `org/name`, or `org/name@revision`.

The hub's own library finds, downloads and keeps the files; HF_HUB_OFFLINE, HF_HOME, HF_ENDPOINT and HF_TOKEN are its
settings. It is asked only where a model is named like this, and nothing is ever sent.
"""

import re
from functools import lru_cache
from pathlib import Path

from ..core.errors import InputError

FILES = ["*.json", "*.safetensors", "*.npz", "*.md"]  # all that a model folder may hold
_NAME = re.compile(r"(?P<repository>(?P<owner>\w[\w.-]*)/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")


def is_hub_name(source: str | Path) -> bool:
    """Whether this names a model of a hub: never where its first part is a folder here, so that no path is sent out."""
    named = _NAME.fullmatch(str(source))
    return named is not None and not Path(named["owner"]).exists()


@lru_cache
def hub_folder(name: str) -> Path:
    """Where the files of a model are on this machine, downloaded if need be; asked once in a process.

    Args:
        name: `org/name`, the newest version, or `org/name@revision`: a branch, a tag or, to be sure, a commit.

    Raises:
        InputError: huggingface_hub is missing, there is no such model or revision, or it is neither at hand nor
            reachable.
    """
    named = _NAME.fullmatch(name)
    if named is None:
        raise InputError(f"{name}: a model of the hub is named org/name or org/name@revision")
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError:
        raise InputError(
            f"{name}: there is no such folder, and to ask the Hugging Face hub for it the package huggingface_hub is "
            "needed: pip install huggingface_hub"
        ) from None
    try:
        return Path(hub.snapshot_download(named["repository"], revision=named["revision"], allow_patterns=FILES))
    except errors.RevisionNotFoundError:
        why = f"the hub has no revision {named['revision']} of it; check the tag, branch or commit"
    except errors.RepositoryNotFoundError:  # a gated one, too
        why = "neither a folder here nor a model of the hub that you may read; check the name, or log in with `hf auth`"
    except errors.LocalEntryNotFoundError:
        why = "not downloaded yet, and the hub cannot be reached (HF_HUB_OFFLINE, no network); download it first"
    except Exception as error:  # whatever the network does
        why = f"cannot be downloaded from the hub ({type(error).__name__}); try again"
    raise InputError(f"{name}: {why}")
