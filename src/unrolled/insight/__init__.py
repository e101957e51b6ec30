"""What happens inside a network: arrays, and the figures that draw them."""
