import math

import pytest
import torch

from pixelpainter.train.objectives import Batch, ReconstructAndFool, fooling_loss, judging_loss


def picture(*pixels):
    """Return (1, 3, 1, n) from n colors."""
    return torch.tensor(pixels, dtype=torch.float32).T[None, :, None]


def batch(truth):
    return Batch(picture=torch.zeros(1, 5, *truth.shape[2:]), palette=None, truth=truth)


def terms(fake, truth, critic=None, **weights):
    objective = ReconstructAndFool(**{"adversarial": "none", "lambda_l1": 1.0, **weights})
    return {name: value.item() for name, value in objective.generator_terms(fake, batch(truth), critic).items()}


def test_l1():
    # differences 0.5, 0, 0 and 0, 1, 0: mean 1.5 / 6
    found = terms(picture((0.5, 0, 0), (0, 0, 0)), picture((0, 0, 0), (0, 1, 0)), lambda_l1=400.0)
    assert found == {"l1": pytest.approx(400 * 0.25)}


def test_chroma():
    # red-green: 0.6 - (-0.2) = 0.8; blue-yellow: 0.1 - 0.2 = -0.1; the truth is gray: mean |.| = 0.45
    found = terms(picture((0.6, -0.2, 0.1)), picture((0.3, 0.3, 0.3)), lambda_chroma=2.0)
    assert found["chroma"] == pytest.approx(2 * 0.45)


def test_chroma_ignores_gray():
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 4, 4)
    found = terms(truth + torch.rand(2, 1, 4, 4), truth, lambda_chroma=1.0)
    assert found["chroma"] == pytest.approx(0, abs=1e-6)
    assert found["l1"] > 0.1


def test_gradient():
    fake = torch.zeros(1, 3, 2, 2)
    fake[0, 0, 0, 1] = 0.9  # one step of 0.9 across and one down, each among 3 channels x 2 steps
    found = terms(fake, torch.zeros(1, 3, 2, 2), lambda_gradient=2.0)
    assert found["gradient"] == pytest.approx(2 * (0.9 / 6 + 0.9 / 6))


def test_gradient_ignores_constants():
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 4, 4)
    found = terms(truth + torch.tensor([0.5, -0.25, 0.125])[None, :, None, None], truth, lambda_gradient=1.0)
    assert found["gradient"] == pytest.approx(0, abs=1e-6)
    assert found["l1"] == pytest.approx(0.875 / 3)


def test_total_variation():
    """Of the answer alone: the truth does not count."""
    fake = torch.zeros(1, 3, 2, 2)
    fake[0, 0, 0, 1] = 0.9  # one step of 0.9 across and one down, each among 3 channels x 2 steps
    assert terms(fake, fake, lambda_tv=2.0)["tv"] == pytest.approx(2 * (0.9 / 6 + 0.9 / 6))
    flat = torch.full((1, 3, 2, 2), 0.5)
    assert terms(flat, fake, lambda_tv=2.0)["tv"] == 0


LOGITS = torch.tensor([[2.0, -1.0]])
SOFTPLUS = [math.log1p(math.exp(value)) for value in (-2.0, -1.0, 1.0, 2.0)]


@pytest.mark.parametrize(
    ("kind", "fooling", "judging_real", "judging_fake"),
    [
        # -log sigmoid(x) = softplus(-x); -log(1 - sigmoid(x)) = softplus(x)
        ("bce", (SOFTPLUS[0] + SOFTPLUS[2]) / 2, (SOFTPLUS[0] + SOFTPLUS[2]) / 2, (SOFTPLUS[3] + SOFTPLUS[1]) / 2),
        ("lsgan", (1 + 4) / 2, (1 + 4) / 2, (4 + 1) / 2),
        ("hinge", -0.5, (0 + 2) / 2, (3 + 0) / 2),
    ],
)
def test_adversarial_losses(kind, fooling, judging_real, judging_fake):
    assert fooling_loss(kind, LOGITS).item() == pytest.approx(fooling)
    assert judging_loss(kind, LOGITS, real=True).item() == pytest.approx(judging_real)
    assert judging_loss(kind, LOGITS, real=False).item() == pytest.approx(judging_fake)


def test_bce_is_that_of_torch():
    bce = torch.nn.BCEWithLogitsLoss()
    assert fooling_loss("bce", LOGITS).item() == pytest.approx(bce(LOGITS, torch.ones(1, 2)).item())
    assert judging_loss("bce", LOGITS, real=False).item() == pytest.approx(bce(LOGITS, torch.zeros(1, 2)).item())


@pytest.mark.parametrize("kind", ["bce", "lsgan", "hinge"])
def test_large_logits_stay_finite(kind):
    extreme = torch.tensor([-1e4, 1e4], dtype=torch.bfloat16)
    assert fooling_loss(kind, extreme).dtype == torch.float32
    assert torch.isfinite(torch.stack([fooling_loss(kind, extreme), judging_loss(kind, extreme, real=False)])).all()


def mean_color(drawing, color):
    """A critic whose verdict is the mean of the color plus the mean of the drawing."""
    assert drawing.shape[1] == 1
    return color.mean() + drawing.mean()


def test_the_critic_sees_drawing_and_color():
    truth, fake = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), -0.25)
    example = Batch(
        picture=torch.cat([torch.full((1, 1, 2, 2), 1.0), torch.zeros(1, 4, 2, 2)], 1), palette=None, truth=truth
    )
    objective = ReconstructAndFool(adversarial="lsgan", lambda_l1=0.0, lambda_gan=3.0)
    assert objective.uses_critic
    judged = objective.critic_terms(fake, example, mean_color)
    # verdicts 1.5 and 0.75; halved
    assert {name: value.item() for name, value in judged.items()} == {"real": 0.5 * 0.25, "fake": 0.5 * 0.5625}
    fooled = objective.generator_terms(fake, example, mean_color)
    assert fooled["gan"].item() == pytest.approx(3 * 0.0625)
    assert set(fooled) == {"l1", "gan"}


def test_several_critics_count_as_their_mean():
    truth, fake = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), -0.25)
    objective = ReconstructAndFool(adversarial="lsgan", lambda_l1=0.0)

    def two(drawing, color):
        return [mean_color(drawing, color), 3 * mean_color(drawing, color)]

    judged = {name: value.item() for name, value in objective.critic_terms(fake, batch(truth), two).items()}
    # verdicts 0.5 and 1.5 of the truth, -0.25 and -0.75 of the fake
    assert judged == {"real": 0.5 * (0.25 + 0.25) / 2, "fake": 0.5 * (0.0625 + 0.5625) / 2}
    fooled = objective.generator_terms(fake, batch(truth), two)["gan"].item()
    assert fooled == pytest.approx((1.25**2 + 1.75**2) / 2)


def test_without_critic():
    objective = ReconstructAndFool(adversarial="none", lambda_l1=1.0)
    assert not objective.uses_critic
    assert set(objective.generator_terms(torch.zeros(1, 3, 2, 2), batch(torch.zeros(1, 3, 2, 2)), None)) == {"l1"}


def test_inputs_of_a_batch():
    plain = batch(torch.zeros(1, 3, 2, 2))
    assert plain.inputs == (plain.picture,)
    palette = torch.zeros(1, 6, 4)
    assert Batch(picture=plain.picture, palette=palette, truth=plain.truth).inputs == (plain.picture, palette)
