"""The networks of Kim & Ro in torch: definitions only, traceable as they stand.

Shapes use the legend of smile.tensors.
"""
