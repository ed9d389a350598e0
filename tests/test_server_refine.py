"""The whole server with a real diffusion pipeline behind it; only the weights are small."""

import sys
from pathlib import Path

import httpx
import numpy as np
from conftest import load
from PIL import Image
from test_server_process import Server

from pixelpainter.refine.remote import RemoteRefiner
from pixelpainter.refine.settings import RefineSettings

# The pipeline is made in the server's process: importing what makes it takes most of the time of this test.
PROGRAM = """
import sys
from pathlib import Path
from diffusion import save_tiny_pipeline
from pixelpainter.cli import main
save_tiny_pipeline(Path(sys.argv.pop(1)))
main(sys.argv[1:])
"""


def test_a_real_diffusion_pipeline_behind_the_server(tmp_path, plain_model, monkeypatch):
    pipeline = tmp_path / "tiny"
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)).save(picture)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    command = [sys.executable, "-c", PROGRAM, str(pipeline), "serve", "--port", "0", "--model", str(plain_model)]
    command += ["--refine", "--refine-model", str(pipeline), "--device", "cpu", "--token", "t"]
    server = Server(tmp_path, command)
    headers = {"Authorization": "Bearer t"}
    try:
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            assert client.get("/health").json()["refine_loaded"] is True
            identity = client.get("/status").json()["models"]["refine"]["identity"]
            assert "tiny" in identity and str(tmp_path) not in identity
            fields = {"strength": "0.5", "steps": "4", "seed": "3"}
            results = []
            for number in range(2):
                answer = client.post("/refine", files={"image": picture.read_bytes()}, data=fields)
                assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
                (tmp_path / f"{number}.png").write_bytes(answer.content)
                results.append(np.asarray(load(tmp_path / f"{number}.png")))
        assert results[0].shape == (70, 50, 3)
        np.testing.assert_array_equal(*results)
        with RemoteRefiner(server.url, token="t") as remote:
            assert remote.identity == identity
            again = remote.refine(np.asarray(load(picture)), RefineSettings(strength=0.5, steps=4, seed=3))
        np.testing.assert_array_equal(again, results[0])
        assert not np.array_equal(again, np.asarray(load(picture)))
        assert server.end() == 0
    finally:
        server.process.kill()
        server.process.wait()
