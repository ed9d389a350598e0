"""A real Stable Diffusion pipeline that is tiny: every component has its real class and few, fixed weights.

Its autoencoder is made by hand so that decoding what it encoded gives the picture back, coarser: what the tests see
of strength, seed and prompt is then of the size that a trained model shows. Its network that denoises is random.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

SIZE = 64  # the pipeline's native side, in pixels
MULTIPLE = 16  # its sides must be multiples of this: 8 for the autoencoder, 2 for the network
_TEXT_WIDTH = 16
_FAR = 100.0  # beside channels of +-_FAR, the scale of a normalized group hardly depends on the picture
_BRIGHT = 20.0  # this far to the right of 0, silu is the identity


def save_tiny_pipeline(
    folder: Path,
    *,
    safety_checker: bool = False,
    flags_everything: bool = False,
    broken_vae: bool = False,
    safetensors: bool = True,
    scheduler: str = "ddim",
) -> Path:
    """Save a pipeline that `diffusers.StableDiffusionImg2ImgPipeline` loads.

    Args:
        folder: where; made if need be.
        safety_checker: with one, which flags nothing.
        flags_everything: with one that flags every picture.
        broken_vae: the decoder answers NaN.
        safetensors: False = the weights are pickles.
        scheduler: "ddim", "pndm" or "euler".

    Returns:
        The folder.
    """
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler, StableDiffusionImg2ImgPipeline

    schedules: dict[str, Any] = {"ddim": DDIMScheduler, "pndm": PNDMScheduler, "euler": EulerDiscreteScheduler}
    special = {"ddim": {"clip_sample": False, "set_alpha_to_one": False}, "pndm": {"skip_prk_steps": True}, "euler": {}}
    checker, extractor = _make_safety_checker(flags_everything) if safety_checker or flags_everything else (None, None)
    vae = make_vae()
    if broken_vae:
        nn.init.constant_(vae.decoder.conv_out.bias, float("nan"))
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=vae,
        text_encoder=_make_text_encoder(),
        tokenizer=make_tokenizer(),
        unet=make_unet(),
        scheduler=schedules[scheduler](
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, **special[scheduler]
        ),
        safety_checker=checker,
        feature_extractor=extractor,
        requires_safety_checker=checker is not None,
    )
    pipeline.save_pretrained(folder, safe_serialization=safetensors)
    return folder


def save_tiny_controlnet(folder: Path) -> Path:
    """Save a ControlNet for the tiny pipeline; its answer, 0 in one that was not trained, depends on the lines."""
    from diffusers import ControlNetModel

    torch.manual_seed(3)
    network = ControlNetModel.from_unet(make_unet(), conditioning_embedding_out_channels=(4, 4, 4, 4))
    for block in (*network.controlnet_down_blocks, network.controlnet_mid_block):
        nn.init.normal_(block.weight, std=0.3)
    nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight, std=0.3)
    network.save_pretrained(folder)
    return folder


def make_tokenizer() -> Any:
    """Return a CLIP tokenizer whose words are single letters."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _make_text_encoder() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    end = len(make_tokenizer()) - 1
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=end + 1,
            hidden_size=_TEXT_WIDTH,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            projection_dim=_TEXT_WIDTH,
            bos_token_id=end - 1,
            eos_token_id=end,
            pad_token_id=end,
        )
    ).eval()


def make_unet() -> Any:
    """Return a network of two levels with random weights."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    network = UNet2DConditionModel(
        sample_size=SIZE // 8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=_TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return network.eval()


def make_vae() -> Any:
    """Return an autoencoder that gives pictures back as means of 8x8 pixels."""
    from diffusers import AutoencoderKL
    from diffusers.models.downsampling import Downsample2D
    from diffusers.models.upsampling import Upsample2D

    torch.manual_seed(2)
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=1,
        sample_size=SIZE,
        scaling_factor=1.0,
    )
    with torch.no_grad():
        for name, weight in vae.named_parameters():
            if name.endswith(("conv2.weight", "conv2.bias", "to_out.0.weight", "to_out.0.bias")):
                weight.zero_()  # what is added to the input of a block
        for part in vae.modules():
            if isinstance(part, Downsample2D):  # its padding is right and below: the mean of 2x2 pixels
                _copy_channels(part.conv, 8)
                part.conv.weight[:, :, 0, 0] = part.conv.weight[:, :, 1, 1] / 4
                for row, column in ((0, 1), (1, 0), (1, 1)):
                    part.conv.weight[:, :, row, column] = part.conv.weight[:, :, 0, 0]
            elif isinstance(part, Upsample2D):
                _copy_channels(part.conv, 8)
        for half, colors in ((vae.encoder, 3), (vae.decoder, 4)):
            _pass_through(half, colors)
        for moments in (vae.quant_conv, vae.post_quant_conv):
            _copy_channels(moments, 4)
        vae.quant_conv.bias[4:] = -30  # the logarithm of the variance
    return vae.eval()


def _copy_channels(layer: nn.Module, count: int) -> None:
    """Make a convolution copy its first channels, and answer 0 in the others."""
    layer.weight.zero_()
    layer.bias.zero_()
    middle = layer.weight.shape[2] // 2
    for channel in range(count):
        layer.weight[channel, channel, middle, middle] = 1


def _pass_through(half: nn.Module, colors: int) -> None:
    """Make the first and the last layer of an encoder or decoder pass the first channels on."""
    _copy_channels(half.conv_in, colors)
    half.conv_in.bias[6], half.conv_in.bias[7] = _FAR, -_FAR
    scale = (2 * _FAR**2 / 8) ** 0.5  # the standard deviation that the far channels give to the group
    nn.init.constant_(half.conv_norm_out.weight, scale)
    nn.init.constant_(half.conv_norm_out.bias, _BRIGHT)
    _copy_channels(half.conv_out, 3)
    half.conv_out.bias[:3] = -_BRIGHT


def _make_safety_checker(flags_everything: bool) -> tuple[Any, Any]:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    torch.manual_seed(4)
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    text = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config=text, projection_dim=4))
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        nn.init.constant_(weights, -2.0 if flags_everything else 2.0)  # what a cosine must exceed
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return checker.eval(), extractor


def save_tiny_checkpoint(folder: Path, file: Path) -> Path:
    """Save the weights of a folder of `save_tiny_pipeline` as the single file that other programs keep them in."""
    from safetensors.torch import load_file, save_file

    parts = {part: load_file(next((folder / part).glob("*.safetensors"))) for part in ("unet", "vae", "text_encoder")}
    whole = {f"model.diffusion_model.{_name_in_unet(name)}": value for name, value in parts["unet"].items()}
    for name, value in parts["vae"].items():
        linear = ".attentions." in name and value.ndim == 2
        whole[f"first_stage_model.{_name_in_vae(name)}"] = value[..., None, None].contiguous() if linear else value
    for name, value in parts["text_encoder"].items():
        whole[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    save_file(whole, file)
    return file


def _renamed(name: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        name = re.sub(rf"(^|(?<=\.)){old}(?=\.)", new, name)
    return name


def _name_in_unet(name: str) -> str:
    """Return what a weight of `make_unet` is called in single files; two levels of one block each."""
    if ".resnets." in name:
        name = _renamed(
            name,
            ("norm1", "in_layers.0"),
            ("conv1", "in_layers.2"),
            ("time_emb_proj", "emb_layers.1"),
            ("norm2", "out_layers.0"),
            ("conv2", "out_layers.3"),
            ("conv_shortcut", "skip_connection"),
        )
    return _renamed(
        name,
        (r"time_embedding\.linear_1", "time_embed.0"),
        (r"time_embedding\.linear_2", "time_embed.2"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
        (r"down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
        (r"down_blocks\.0\.attentions\.0", "input_blocks.1.1"),
        (r"down_blocks\.0\.downsamplers\.0\.conv", "input_blocks.2.0.op"),
        (r"down_blocks\.1\.resnets\.0", "input_blocks.3.0"),
        (r"mid_block\.resnets\.0", "middle_block.0"),
        (r"mid_block\.attentions\.0", "middle_block.1"),
        (r"mid_block\.resnets\.1", "middle_block.2"),
        (r"up_blocks\.0\.resnets\.(\d)", r"output_blocks.\2.0"),
        (r"up_blocks\.0\.upsamplers\.0\.conv", "output_blocks.1.1.conv"),
        (r"up_blocks\.1\.resnets\.0", "output_blocks.2.0"),
        (r"up_blocks\.1\.attentions\.0", "output_blocks.2.1"),
        (r"up_blocks\.1\.resnets\.1", "output_blocks.3.0"),
        (r"up_blocks\.1\.attentions\.1", "output_blocks.3.1"),
    )


def _name_in_vae(name: str) -> str:
    """Return what a weight of `make_vae` is called in single files."""
    levels = [(rf"up_blocks\.{level}\.resnets\.(\d)", rf"up.{3 - level}.block.\2") for level in range(4)]
    levels += [(rf"up_blocks\.{level}\.upsamplers\.0", f"up.{3 - level}.upsample") for level in range(4)]
    return _renamed(
        name,
        ("conv_norm_out", "norm_out"),
        ("conv_shortcut", "nin_shortcut"),
        (r"mid_block\.resnets\.0", "mid.block_1"),
        (r"mid_block\.resnets\.1", "mid.block_2"),
        (r"mid_block\.attentions\.0", "mid.attn_1"),
        (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\2.block.\3"),
        (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\2.downsample"),
        *levels,
        *(
            (rf"(?<=attn_1\.){old}", new)
            for old, new in {
                "group_norm": "norm",
                "to_q": "q",
                "to_k": "k",
                "to_v": "v",
                r"to_out\.0": "proj_out",
            }.items()
        ),
    )
