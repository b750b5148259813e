"""The networks: UNet, ControlNet, VAE and CLIP text encoder, named after the original checkpoint's keys."""
