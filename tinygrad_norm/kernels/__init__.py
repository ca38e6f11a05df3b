"""Algorithms on raw arrays, without autograd: what the fused ops call."""
