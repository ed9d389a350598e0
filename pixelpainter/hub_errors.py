"""What went wrong between the Hub and this machine, in words for the user."""

from __future__ import annotations

import errno

from pixelpainter.errors import first_line
from pixelpainter.models import HubFile

_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def explain(error: BaseException, model: HubFile) -> str:
    """Say in one line what happened and what to do.

    Args:
        error: whatever the client of the Hub raised. Its HTTP library has changed twice, so errors of connections
            are told apart by the names of their classes.
        model: what was asked for.
    """
    from huggingface_hub import constants, errors

    host = constants.ENDPOINT
    if isinstance(error, errors.LocalEntryNotFoundError | ValueError) and error.__cause__ is not None:
        # All that these two say is that the request failed. Older clients take the first for an answer of the Hub.
        return explain(error.__cause__, model)
    if isinstance(error, errors.HfHubHTTPError):
        return _explain_answer(error, model, host)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids to go online; unset it once"
    if isinstance(error, errors.HFValidationError):
        return "this cannot be the name of a repository on the Hub; check how it is written"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"TimeoutException", "Timeout", "TimeoutError"}:
        return f"{host} did not answer in time; try again, or raise HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT"
    if "ProxyError" in kinds:
        return f"the proxy does not lead to {host} ({first_line(error)}); check HTTPS_PROXY"
    if kinds & {"ConnectError", "ConnectionError", "UnsupportedProtocol", "InvalidURL"}:
        return f"{host} cannot be reached ({first_line(error)}); check the connection and HF_ENDPOINT"
    if kinds & {"TransportError", "ChunkedEncodingError"} or "Consistency check failed" in str(error):
        reason = first_line(error).partition(" (")[0]
        return f"the connection to {host} broke off ({reason}); what came of the file is not used: try again"
    if kinds & {"FileMetadataError"}:
        return f"{host} does not answer like a Hugging Face Hub; check HF_ENDPOINT and the proxy"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"there is no room for it in {constants.HF_HUB_CACHE}; make some, or choose another folder with HF_HOME"
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or constants.HF_HUB_CACHE
        return f"it cannot be kept in {where} ({error.strerror}); choose another folder with HF_HOME"
    return f"the transfer failed ({type(error).__name__}: {first_line(error)})"


def _explain_answer(error: Exception, model: HubFile, host: str) -> str:
    """Explain an answer of the Hub that is no file."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", 0)
    if isinstance(error, errors.GatedRepoError):
        return f"its owner gives it only to those who ask: visit {host}/{model.repo}, and then {_LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{host} has no such repository, or it is private: check the name, or {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {model.revision!r}; check it at {host}/{model.repo}"
    if isinstance(error, errors.EntryNotFoundError):
        return f"the repository has no file {model.file!r}; name one with {model.repo}@{model.revision}:FILE.onnx"
    if status in (401, 403):
        return f"{host} refuses access ({status}); {_LOG_IN}, with a token for this repository"
    if status == 429:
        return f"{host} answers that there were too many requests (429); wait, or {_LOG_IN}"
    if status >= 500:
        return f"{host} has a fault of its own ({status}); try again later"
    return f"{host} refuses the request ({first_line(error)})"
