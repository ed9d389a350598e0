"""What the server's OpenAPI document says is what the server does: schemathesis tries it."""

import io
from pathlib import Path

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from pixelpainter.server.app import make_app

TOKEN = "s3cret"
CONFIG = {
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    # What OpenAPI cannot say: hints are JSON, and inside the drawing; exact needs a palette; pictures fit together.
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 422]}},
}
TEXTS = ("hints", "palette", "prompt", "negative_prompt")
OPERATIONS = [("GET", "/health"), ("GET", "/status"), ("POST", "/colorize"), ("POST", "/refine")]


class Engine:
    """Paints nothing, as a colorizer and as a refiner."""

    identity, file, model_hash, device = "stub", Path("stub.onnx"), "0" * 64, "cpu"

    def refine(self, rgb, settings, *, sketch=None, on_note=None, on_step=None):
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


def test_all_operations_are_known():
    assert {(found.ok().method.upper(), found.ok().path) for found in schema.get_all_operations()} == set(OPERATIONS)


# Not schema.parametrize: its items have one name, and pytest-xdist runs one of them.
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_server_does_what_its_document_says(method, path, mode):
    seen = set()

    @settings(max_examples=15, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def check(case):
        fields = case.body if isinstance(case.body, dict) else {}
        # In a form all is text: what schemathesis takes for a wrong kind is a right text there.
        assume(all(isinstance(fields.get(name, ""), str) for name in TEXTS))
        seen.add(case.call_and_validate().status_code)

    try:
        check()
    except Unsatisfiable:
        assert (method, mode) == ("GET", GenerationMode.NEGATIVE)  # they take nothing that could be wrong
    if method == "POST":
        assert (200 if mode is GenerationMode.POSITIVE else 422) in seen
