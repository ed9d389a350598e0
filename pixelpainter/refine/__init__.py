"""Refine: a diffusion model paints over a colored picture, on this machine or on another one."""
