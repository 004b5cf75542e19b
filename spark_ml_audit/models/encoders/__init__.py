"""Pretrained networks that turn texts into vectors: what they are, how one is chosen, how its layer is."""
