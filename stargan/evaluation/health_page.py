"""The page of ``stargan health``: curves with marks, and what every monitor says."""
