"""huggingface_hub, which is an extra, and what goes wrong with a hub in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dnadiff.errors import InputError, ResourceError


def library() -> Any:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import huggingface_hub  # only here: an extra
        import huggingface_hub.errors
    except ImportError:
        raise InputError("models of the hub need an extra: pip install 'dnadiff[hub]'") from None
    return huggingface_hub


def endpoint() -> str | None:
    """The hub that is meant, as it is set now; None: huggingface.co."""
    return os.environ.get("HF_ENDPOINT")


@contextmanager
def explained(where: str, *, failed: str) -> Iterator[None]:
    """What the hub refuses inside the block, as errors of ours.

    Args:
        where: named in errors.
        failed: what could not be done, and how to mend it, as format string with the cause as {}.

    Raises:
        InputError: there is no such model or revision, or no right to it.
        ResourceError: anything else, of the network, the hub or the disk.
    """
    errors = library().errors
    try:
        yield
    except errors.GatedRepoError:
        raise InputError(f"{where}: asks for consent; give it on its page, then log in with `hf auth login`") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{where}: the hub has no such model, or it is private; check the name, or log in with `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{where}: the model has no such revision; name a branch, tag or commit of it") from None
    except errors.LocalTokenNotFoundError:
        raise InputError(f"{where}: needs a login; run `hf auth login`") from None
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        cause = ": ".join([type(error).__name__, *lines[:1]])
        raise ResourceError(f"{where}: {failed.format(cause)}") from None
