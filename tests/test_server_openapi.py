"""What the server's OpenAPI document says is what the server does: schemathesis tries it."""

import io
from pathlib import Path

import numpy as np
import schemathesis
from hypothesis import strategies
from PIL import Image
from schemathesis.config import SchemathesisConfig

from pixelpainter.server.app import make_app

TOKEN = "s3cret"
CONFIG = {
    "generation": {"deterministic": True, "max-examples": 15, "database": "none"},
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "phases": {"stateful": {"enabled": False}},
    # What OpenAPI cannot say: hints are JSON, and inside the drawing; exact needs a palette; pictures fit together.
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 422]}},
}


class Engine:
    """Paints nothing, as a colorizer and as a refiner."""

    identity, file, model_hash, device = "stub", Path("stub.onnx"), "0" * 64, "cpu"

    def refine(self, rgb, settings, *, sketch=None, on_note=None):
        return rgb

    def colorize_picture(self, picture, settings, *, on_note=None):
        return picture.rgb


def png():
    stream = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), 255, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


schemathesis.openapi.format("binary", strategies.sampled_from([png(), b"no picture"]))


app = make_app(Engine(), Engine(), token=TOKEN, log=lambda line: None)
schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=SchemathesisConfig.from_dict(CONFIG))
SEEN = {}


@schema.parametrize()
def test_the_server_does_what_its_document_says(case):
    answer = case.call_and_validate()
    SEEN.setdefault((case.method, case.path), set()).add(answer.status_code)


def test_good_and_bad_requests_were_tried():
    """Otherwise the test above could pass without having looked at a picture."""
    assert set(SEEN) >= {("POST", "/refine"), ("POST", "/colorize"), ("GET", "/health"), ("GET", "/status")}
    for path in ("/refine", "/colorize"):
        assert SEEN["POST", path] >= {200, 422}
