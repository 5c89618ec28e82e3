"""The page of ``stargan serve``: a photo, its labels, and what they change; the server of a study.

Needs the extra ``web`` (Gradio); nothing else of the package imports it.
"""
