"""The networks of Kim & Ro and of Pei et al. (SIAM) in torch: definitions only, traceable as they stand.

Shapes use the legend of smile.tensors.
"""
