"""The networks: UNet, ControlNet, VAE, CLIP text encoder; named as in the original checkpoints."""
