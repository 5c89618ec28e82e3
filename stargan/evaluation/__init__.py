"""How good a model is: judges, figures, reports. Sees methods only as ``Translate``."""
